"""What an annotation will take, from the sizes of its inputs: ``run --plan``."""

from hpc_connector.allocation.cost import Cost
from hpc_connector.loader.spectra.ibd import get_spectrum_bytes
from hpc_connector.pipeline.access import begin_access
from metabolite_annotation.inputs.files import Setup, read_inputs
from metabolite_annotation.options import Options
from metabolite_annotation.tasks import IONS_A_TASK

# Seconds of one core (AMD Zen 4, AVX-512), by benchmarks/annotate_runs.py
PATTERN_S = 20e-6  # of an ion, if it is not in the cache
PEAK_S = 150e-9  # read and sorted
SCORE_S = 1e-6  # of an ion, and as much again a thousand pixels
RANK_BYTES = 500_000_000  # while its kernels compile
ION_BYTES = 300


def get_cost(options: Options) -> Cost:
    """Return the cost of a run, whose inputs are read but for the spectra.

    Raises
    ------
    BadInput
        Inputs that ``run`` would refuse before it reads spectra.
    """
    begin_access(options)
    return make_cost(read_inputs(options).setup)


def make_cost(setup: Setup) -> Cost:
    """Return the cost of a run, from what :func:`read_inputs` gave."""
    n_ions, n_peaks = len(setup.ions), int(setup.imzml.n_peaks.sum())
    n_spectra = len(setup.imzml.x)
    ibd_bytes = int(get_spectrum_bytes(setup.imzml).sum())
    score_s = SCORE_S * n_ions * (1 + n_spectra / 1000)
    parts = {
        f"{n_ions:,} isotope patterns": PATTERN_S * n_ions,
        f"{n_peaks:,} peaks of {n_spectra:,} spectra": PEAK_S * n_peaks,
        "scores and images": score_s,
    }
    return Cost(
        cpu_s=sum(parts.values()),
        serial_s=1 + 4e-9 * ibd_bytes + 20e-6 * n_spectra + 2e-6 * n_ions,
        node_bytes=16 * n_peaks,
        rank_bytes=RANK_BYTES + ION_BYTES * n_ions,
        tasks=-(-n_ions // IONS_A_TASK),
        reasons=tuple(f"{what}: {took_s:.1f} core s" for what, took_s in parts.items()),
    )
