"""The flow of a run: at most five calls from `main` to a kernel, none of the cloud."""

import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
COHORT = f"run {DATA}/bitepi_plink_100snps_2000/bfile.bed"
TISSUE = (
    f"run {DATA}/imzml/Untreated_3_434_tiny.imzML --instrument FTICR "
    f"--database {DATA}/databases/lipidmaps_2017-12-12-v2.tsv.gz"
)
# Prints the functions between `main` and the first call of a kernel, and what is loaded
PROGRAM = """
import importlib, sys, traceback

program, module, name, *words = sys.argv[1:]
main = importlib.import_module(program).main
kernels = importlib.import_module(module)
kernel = getattr(kernels, name)

def show(*known):
    setattr(kernels, name, kernel)
    names = [frame.name for frame in traceback.extract_stack()]
    print("calls:", *names[names.index("main") + 1 : -1])
    return kernel(*known)

setattr(kernels, name, show)
assert main(words) == 0
print("burst:", *(m for m in sys.modules if m.startswith("hpc_connector.burst")))
"""
RUNS = {
    "mdr_epistasis": (
        "hpc_connector.learner.mdr.search",
        "search_pairs",
        COHORT,
        ["run", "search", "run_tasks", "run_on_ranks", "run_task"],
    ),
    "metabolite_annotation": (
        "hpc_connector.learner.annotation._image_kernels",
        "fill_scores",
        TISSUE,
        ["run", "search", "run_on_ranks", "run_task", "annotate"],
    ),
}


@pytest.mark.parametrize("program", RUNS)
def test_run__comes_to_a_kernel_in_few_calls(program, tmp_path):
    *kernel, words, calls = RUNS[program]
    command = [sys.executable, "-c", PROGRAM, f"{program}.program", *kernel]
    command += [*words.split(), "--out", str(tmp_path / "out"), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    assert said["calls"].split() == calls
    assert said["burst"].split() == []
