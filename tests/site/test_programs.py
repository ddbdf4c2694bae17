"""Both programs on tiny data: the bytes of all ranks are those of one alone."""

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

import mdr_epistasis.program
import metabolite_annotation.program
from hpc_connector.partitioner.ending import wait_asleep
from hpc_connector.partitioner.single import SerialCommunicator
from hpc_connector.pipeline import program, ranks

pytestmark = pytest.mark.mpi

DATA = Path(__file__).resolve().parents[1] / "data"
(COHORT,) = (DATA / "gametes_2way_1000snps_3200").glob("*.txt.gz")
SPHEROID = DATA / "imzml/Untreated_3_434_tiny.imzML"
LIPIDS = DATA / "databases/lipidmaps_2017-12-12-v2.tsv.gz"
SEARCH = f"run {COHORT} --min-maf 0 --permutations 20 --top 50"
ANNOTATE = f"run {SPHEROID} --database {LIPIDS} --instrument FTICR"
RUNS = {
    "mdr-epistasis": (mdr_epistasis.program.main, SEARCH, "models.tsv"),
    "metabolite-annotation": (
        metabolite_annotation.program.main,
        f"{ANNOTATE} --resolving-power 280000@200",
        "annotations.tsv",
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def run(request, comm, tmp_path_factory):
    """Return a program, its arguments, and the files that rank 0 has made alone.

    The others sleep meanwhile, so that one rank compiles the kernels.
    """
    main, words, table = RUNS[request.param]
    arguments = words.split()
    folder = comm.bcast(tmp_path_factory.mktemp("alone"))
    if request.param == "metabolite-annotation":
        arguments += ["--pattern-cache", str(folder / "patterns")]
    codes = [0]
    if comm.rank == 0:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(program, "get_mpicomm", SerialCommunicator)
            codes.append(main([*arguments, "--out", f"{folder}/out", "--quiet"]))
    wait_asleep(comm)
    assert not any(comm.bcast(codes))
    return main, arguments, [folder / "out" / name for name in (table, "results.h5")]


def assert_same(comm, out, files):
    record = json.loads((out / "manifest.json").read_text())
    assert record["resources"]["ranks"] == comm.size
    for path in files:
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name


def test_run__same_bytes_as_of_one_rank(comm, run, mpi_tmp_path):
    main, arguments, files = run
    assert main([*arguments, "--out", f"{mpi_tmp_path}/out", "--quiet"]) == 0
    assert_same(comm, mpi_tmp_path / "out", files)


def test_run__same_bytes_after_a_stop(comm, run, mpi_tmp_path, monkeypatch):
    """All are told to stop at their first task, and go on later."""
    main, arguments, files = run
    command = [*arguments, "--out", f"{mpi_tmp_path}/out", "--quiet"]
    count_tickets, stops = ranks.count_tickets, []

    @contextlib.contextmanager
    def stop_early(comm, n):
        def take_and_stop():
            os.kill(os.getpid(), signal.SIGUSR1)
            return take()

        stops.append(n > comm.size)  # else all tasks are done before
        with count_tickets(comm, n) as (take, end):
            yield take_and_stop, end

    with monkeypatch.context() as patch:
        patch.setattr(ranks, "count_tickets", stop_early)
        code = main(command)
    assert code == (75 if any(stops) else 0)
    assert main([*command, "--resume"]) == 0
    assert_same(comm, mpi_tmp_path / "out", files)
