"""What can go wrong while a run is under way, and what is left of it."""

import json
import random
import signal
import time

import pytest

from mdr_epistasis.program import main
from programs import assert_same, end_after, make_command

SEARCH = ["--folds", "3", "--permutations", "17", "--top", "50", "--all-models"]


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Return the options of a search that takes seconds."""
    prefix = tmp_path_factory.mktemp("faults") / "cohort"
    options = "--variants 1200 --individuals 500 --heritability 0.1 --maf 0.3 --seed 2"
    assert main(["simulate", "--out", str(prefix), *options.split()]) == 0
    return [f"{prefix}.bed", *SEARCH]


@pytest.fixture(scope="session")
def reference(cohort, tmp_path_factory):
    """Return the results of the search, undisturbed, and the seconds it took."""
    out = tmp_path_factory.mktemp("faults") / "out"
    start_s = time.monotonic()
    assert end_after(make_command(1, *cohort, "--out", out), 60, signal.SIGTERM) == 0
    return out, time.monotonic() - start_s


@pytest.mark.parametrize(
    ("ranks", "threads", "seed"), [(1, 1, 1), (1, 2, 2), (2, 1, 3), (2, 1, 4)]
)
def test_run__same_bytes_after_signals_at_random_moments(
    cohort, reference, tmp_path, ranks, threads, seed
):
    out, (expected, takes_s) = tmp_path / "out", reference
    chance = random.Random(seed)
    command = make_command(ranks, *cohort, "--out", out, "--threads", threads)
    codes = []
    while not codes or codes[-1] != 0:
        number = chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
        code = end_after([*command, "--resume"], chance.uniform(0.2, takes_s), number)
        assert code in (0, 75, -number, 128 + number), codes
        codes.append(code)
        assert len(codes) < 30, codes
    print(codes)
    assert json.loads((out / "manifest.json").read_text())["status"] == "done"
    assert_same(out, expected)
