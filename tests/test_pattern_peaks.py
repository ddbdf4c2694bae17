"""The few highest peaks of a pattern, against all of them."""

import numpy as np
import numpy.testing as npt
import pytest

from hpc_connector.learner.annotation.ions import Chemistry, make_ions
from hpc_connector.learner.annotation.patterns import Resolution, calculate_centroids

FORMULAS = ["C6H12O6", "C40H80NO8P", "C9H4Br3Cl3", "C20H24S6", "H32N6O28Mo4", "Sn3C9"]


@pytest.mark.parametrize("n_peaks", [1, 4])
@pytest.mark.parametrize(
    ("instrument", "sigma", "version"),
    [
        ("FTICR", 0.000619, 3),
        ("Orbitrap", 0.001238, 3),
        ("TOF", 0.5, 3),  # peaks of several masses are one cluster
        ("TOF", 0.002476, 1),
    ],
)
def test_calculate_centroids__of_few_peaks_are_the_highest_of_all(
    instrument, sigma, version, n_peaks
):
    """Bit for bit: with so many peaks all that matter to any are drawn."""
    ions, _ = make_ions([FORMULAS], Chemistry(("+H", "+Na")))
    setting = instrument, sigma, 1, version
    few = calculate_centroids(ions, Resolution(*setting, n_peaks))
    mz, intensity = calculate_centroids(ions, Resolution(*setting, 400))
    order = np.argsort(-intensity, axis=1, kind="stable")[:, :n_peaks]
    order = np.sort(order, axis=1)
    npt.assert_array_equal(few[0], np.take_along_axis(mz, order, axis=1))
    npt.assert_array_equal(few[1], np.take_along_axis(intensity, order, axis=1))
