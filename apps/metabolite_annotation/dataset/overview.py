"""All that ranks compute of a dataset as a whole."""

from typing import NamedTuple

import numpy as np

from hpc_connector.partitioner.communicator import Communicator
from metabolite_annotation.annotations import Annotations
from metabolite_annotation.dataset.colocalisation import Colocalised, find_colocalised
from metabolite_annotation.dataset.mean_spectrum import find_mean_spectrum
from metabolite_annotation.options import Options
from metabolite_annotation.patterns import Patterns
from metabolite_annotation.spectra import Spectra


class Overview(NamedTuple):
    """Colocalised ions, and the columns of the mean spectrum."""

    colocalised: Colocalised
    spectrum: dict[str, np.ndarray]


def make_overview(
    comm: Communicator,
    options: Options,
    spectra: Spectra,
    patterns: Patterns,
    annotations: Annotations | None,
) -> tuple[Overview | None, bool]:
    """Return what is told of a dataset, on rank 0; and whether no signal came between.

    Parameters
    ----------
    annotations
        None but on rank 0.
    """
    spectrum = find_mean_spectrum(comm, spectra, options.ppm)
    given = (comm, options, spectra, patterns, annotations)
    colocalised, is_done = find_colocalised(*given)
    if colocalised is None or spectrum is None:
        return None, is_done
    return Overview(colocalised, spectrum), is_done
