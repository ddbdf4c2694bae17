"""Ranks of a node hold one copy of genotypes and peaks; a stop needs no more memory."""

import gzip
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from ranks import find_descendants, get_pss_bytes

from hpc_connector.learner.mdr import search as learner
from hpc_connector.manifest import read_manifest
from hpc_connector.partitioner.communicator import SerialCommunicator
from hpc_connector.telemetry.watch.proc import parse_peak
from imzml import write_imzml
from mdr_epistasis.plan import MAXIMA
from mdr_epistasis.runner import join_findings
from mdr_epistasis.tasks import Findings
from programs import PATIENCE_S, make_command, wait_for

RANKS = 4
SAMPLES = 5
A_PYTHON_BYTES = 30_000_000  # every rank has more, whatever it shares
FORMULAS = Path(__file__).parent / "data/metaspace_golden"
FORMULAS /= "core_metabolome_v3_formulas.txt.gz"


def count_copies(small, large, more_bytes, folder, program="mdr_epistasis"):
    """Return how often ranks hold by what a large input is more than a small one."""
    warm = make_command(1, *small, "--out", folder / "warm", program=program)
    subprocess.run(warm, check=True, capture_output=True)  # compiles and caches
    used = [
        measure_ranks(options, folder / name, program)
        for name, options in (("small", small), ("large", large))
    ]
    return (used[1] - used[0]) / more_bytes


def measure_ranks(options, out, program):
    """Return the sum of proportional set sizes of ranks that run tasks."""
    command = make_command(RANKS, *options, "--out", out, program=program, hold=8)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: len([*out.glob("ledger/*.npz")]) == RANKS)
    found = find_descendants(process.pid)
    samples = [sum(map(get_pss_bytes, found)) for _ in range(SAMPLES)]
    process.terminate()
    process.wait(PATIENCE_S)
    assert max(samples) > RANKS * A_PYTHON_BYTES
    return max(samples)


def write_cohort(prefix, variants, individuals):
    """Write a cohort in which everybody is heterozygous; return its options."""
    rows = (f"1 v{v} 0 {v} A C\n" for v in range(variants))
    prefix.with_suffix(".bim").write_text("".join(rows))
    rows = (f"{i} {i} 0 0 0 {1 + i % 2}\n" for i in range(individuals))
    prefix.with_suffix(".fam").write_text("".join(rows))
    genotypes = b"\xaa" * (variants * individuals // 4)
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + genotypes)
    return [f"{prefix}.bed", "--folds", "3", "--top", "10"]


def test_search__ranks_of_a_node_hold_one_copy(tmp_path):
    small = write_cohort(tmp_path / "small", 1000, 16_000)
    large = write_cohort(tmp_path / "large", 25_000, 16_000)
    more_bytes = 24_000 * 16_000 // 4
    assert 0.8 < count_copies(small, large, more_bytes, tmp_path / "out") < 2


def test_search__a_stop_needs_no_more_memory(tmp_path):
    """Maxima of ten million permutations are in the ledger; none is joined."""
    options = [*write_cohort(tmp_path / "small", 100, 1000), "--permutations"]
    warm = make_command(1, *options, "9", "--out", tmp_path / "warm")
    subprocess.run(warm, check=True, capture_output=True)  # compiles and caches
    command = make_command(1, *options, "10000000", "--out", tmp_path / "out")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: any(tmp_path.glob("out/ledger/*.npz")))
    before = parse_peak(Path(f"/proc/{process.pid}/status").read_bytes())
    process.terminate()
    assert process.wait(PATIENCE_S) == 75
    assert read_peak(tmp_path / "out") - before < 2 * 80_000_000


def read_peak(out):
    """Return the most that a rank of a run held in memory."""
    return read_manifest(out)["resources"]["max_rss_bytes"]


def test_manifest__peak_is_the_programs_own(tmp_path):
    """And not that of a large process, such as a notebook, which started it."""
    options = write_cohort(tmp_path / "small", 100, 1000)
    command = make_command(1, *options, "--out", tmp_path / "out")
    start = "import subprocess, sys; held = b'1' * 1_000_000_000; "
    start += "subprocess.run(sys.argv[1:], check=True)"
    subprocess.run([sys.executable, "-c", start, *command], check=True)
    assert read_peak(tmp_path / "out") < 900_000_000


@pytest.mark.parametrize("threads", [1, 3])
def test_plan__has_room_for_the_maxima_of_permutations(threads):
    """What a rank holds of them is most while it joins those of its threads."""
    n = 1_000_000
    question = learner.Question(permutations=n, top=10)
    tracemalloc.start()
    try:
        mine = [Findings(question, 2) for _ in range(threads)]
        joined = join_findings(SerialCommunicator(), [], mine, question.top)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(joined.found["maximum"]) == n
    assert peak < 8 * n * (MAXIMA + threads - 1)


def write_dataset(path, spectra, peaks):
    """Write spectra of evenly spread peaks; return its options."""
    mz = np.linspace(100, 1000, peaks)
    shift = np.random.default_rng(1).uniform(0, 0.1, spectra)
    places = [(1 + k % 50, 1 + k // 50) for k in range(spectra)]
    intensity = np.ones(peaks)
    write_imzml(
        path,
        [(*at, mz + s, intensity) for at, s in zip(places, shift, strict=True)],
    )
    database = path.with_name("formulas.tsv")
    formulas = gzip.decompress(FORMULAS.read_bytes()).decode().split()
    rows = [f"{k}\tmolecule {k}\t{f}\n" for k, f in enumerate(formulas)]
    database.write_text("id\tname\tformula\n" + "".join(rows))
    cache = path.with_name("patterns")
    options = ["--database", database, "--instrument", "FTICR", "--pattern-cache"]
    return [path, *options, cache]


def test_annotation__ranks_of_a_node_hold_one_copy(tmp_path):
    small = write_dataset(tmp_path / "small.imzML", 1000, 100)
    large = write_dataset(tmp_path / "large.imzML", 1000, 6100)
    more_bytes, program = 1000 * 6000 * 16, "metabolite_annotation"
    assert 0.8 < count_copies(small, large, more_bytes, tmp_path / "out", program) < 2
