"""A store that goes away during a burst: asked again, then the ranks go on without."""

import json
import os
import random
import signal
import sys
import types

import pytest
import yaml

from hpc_connector.burst.connection import Connection
from hpc_connector.burst.lithops.executor import is_outage
from hpc_connector.burst.outage import outlast
from hpc_connector.errors import BadInput
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import put, read_whole
from hpc_connector.storage.stores import NoAnswer
from mdr_epistasis.program import main as mdr
from programs import assert_same, get_end
from s3 import ACCESS, BUCKET, find_port, make_client, start_s3
from test_burst import PAID, World, make_burst

NO_ANSWER = NoAnswer("s3://b/answers: its server does not answer")


def fail_at(turns, world, error=NO_ANSWER):
    """Return what receives, but raises at some turns, after an answer if any."""
    turn = iter(range(10**9))

    def receive():
        answers = World.receive(world)
        if next(turn) in turns:
            yield from answers[:1]
            world.on_the_way += answers[1:]
            raise error
        yield from answers

    return receive


@pytest.mark.parametrize("seed", range(5))
def test_burst__goes_on_when_the_store_is_back(seed):
    world = World(range(40), random.Random(seed), ["good"])
    burst = make_burst(world, 1e9)
    burst.receive = fail_at({0, 1, 3, 4, 5, 8}, world)
    assert burst.run(lambda: False) == []
    assert sorted(world.accepted) == list(range(40))
    assert burst.usage.failed_calls == 0


@pytest.mark.parametrize("error", [NO_ANSWER, BadInput("s3://b: access is denied")])
def test_burst__gives_back_what_is_away_with_a_store_that_stays_away(error):
    world = World(range(40), random.Random(1), ["good"])
    burst = make_burst(world, 0.0)  # no patience
    burst.receive = fail_at(range(3, 10**9), world, error)
    back = burst.run(lambda: False)
    assert sorted([*world.accepted, *back, *world.tasks]) == list(range(40))
    assert back
    assert world.tasks
    assert burst.usage.reason == str(error)


def test_burst__sends_nothing_to_a_store_that_is_away():
    world = World(range(40), random.Random(1), ["dead"])
    burst = make_burst(world, 1e9)
    burst.receive = fail_at(range(10**9), world)
    stops = iter([False] * 50 + [True])
    burst.run(lambda: next(stops))
    assert burst.usage.calls == burst.workers


def test_line__reads_again_what_the_store_did_not_give(tmp_path, monkeypatch):
    place = Source(str(tmp_path / "answers"))
    connection = Connection(PAID, None, None, "none", 0, place)
    for name in ("000000-0.error", "000001-0.error"):
        put(place.beside(f"/{name}"), b"OSError: no space", only_new=False)
    read, turn = read_whole, iter(range(9))

    def read_or_fail(source):
        if next(turn) == 1:
            raise NO_ANSWER
        return read(source)

    monkeypatch.setattr("hpc_connector.burst.connection.read_whole", read_or_fail)
    answers = []
    with pytest.raises(NoAnswer):
        answers += (answer for answer in connection.receive())
    answers += connection.receive()
    assert [answer.batch for answer in answers][-1] == 1


def test_line__closes_whatever_lithops_says(tmp_path, caplog):
    class Executor:
        def __exit__(self, *_):
            raise ConnectionError("nobody there")

    place = Source(str(tmp_path / "answers"))
    Connection(PAID, Executor(), None, "none", 0, place).close()
    assert "Lithops did not clean up: nobody there" in caplog.text


def test_outlast__tries_again_and_raises_in_the_end():
    turns = iter([NO_ANSWER, NO_ANSWER, 7])

    def act():
        found = next(turns)
        if isinstance(found, Exception):
            raise found
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)
        assert outlast(act, 1e9) == 7
    turns = iter([NO_ANSWER])
    with pytest.raises(NoAnswer):
        outlast(act, 0.0)


@pytest.mark.parametrize(
    ("status", "is_away"), [(500, True), (503, True), (403, False), (404, False)]
)
def test_is_outage__by_the_answer_of_a_server(status, is_away):
    error = Exception("no")
    error.response = {"ResponseMetadata": {"HTTPStatusCode": status}}
    assert is_outage(error) == is_away


def test_is_outage__by_the_kind_of_error():
    from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

    assert is_outage(EndpointConnectionError(endpoint_url="x"))
    assert is_outage(ReadTimeoutError(endpoint_url="x"))
    assert is_outage(ConnectionRefusedError())
    assert not is_outage(KeyError("region"))


# The server ends with the second call; it comes back when that was seen some times
PROGRAM = """
import os, signal, socket, subprocess, sys, time
from hpc_connector.burst import connection
from hpc_connector.storage.stores import NoAnswer
from mdr_epistasis import program

HOST, PORT = "127.0.0.1", int(os.environ["PORT"])
calls, seen = [], []
send, list_names = connection.Connection.send, connection.list_names

def is_there():
    with socket.socket() as client:
        return client.connect_ex((HOST, PORT)) == 0

def send_and_kill(self, *known):
    send(self, *known)
    calls.append(known)
    if len(calls) == 2:
        os.kill(int(os.environ["SERVER"]), signal.SIGKILL)
        while is_there():
            time.sleep(0.01)

def list_or_start(source):
    try:
        return list_names(source)
    except NoAnswer:
        seen.append(source)
        if len(seen) == 2 and os.environ["AGAIN"]:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            process = subprocess.Popen(os.environ["AGAIN"].split(), **quiet)
            with open(os.environ["TMPDIR"] + "/again", "w") as stream:
                stream.write(str(process.pid))
            while not is_there():
                time.sleep(0.01)
        raise

connection.Connection.send, connection.list_names = send_and_kill, list_or_start
code = program.main(sys.argv[1:])
print("calls", len(calls), "seen", len(seen))
sys.exit(code)
"""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return a cohort, and its results without any function."""
    folder = tmp_path_factory.mktemp("cohort")
    options = "--variants 600 --individuals 300 --heritability 0.1 --maf 0.3 --seed 3"
    assert mdr(["simulate", "--out", str(folder / "wide"), *options.split()]) == 0
    run = [f"{folder}/wide.bed", "--top", "50", "--permutations", "20"]
    assert mdr(["run", *run, "--out", str(folder / "out"), "--quiet"]) == 0
    return run, folder / "out"


@pytest.fixture
def server(tmp_path):
    """Return a server of this test's own, which the test may end."""
    (tmp_path / "s3").mkdir()
    process, ports = start_s3(tmp_path / "s3", "127.0.0.1")
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    make_client(endpoint).create_bucket(Bucket=BUCKET)
    yield types.SimpleNamespace(
        process=process, port=ports["s3.port"], endpoint=endpoint
    )
    process.kill()
    process.wait()
    if (tmp_path / "again").exists():  # it was started again
        os.kill(int((tmp_path / "again").read_text()), signal.SIGKILL)


def write_config(folder, endpoint, **burst):
    keys = {k.removeprefix("AWS_").lower(): v for k, v in ACCESS.items()}
    config = {
        "lithops": {"backend": "localhost", "storage": "minio"},
        "minio": {"endpoint": endpoint, "storage_bucket": BUCKET, **keys},
        "localhost": {"runtime": sys.executable, "worker_processes": 2},
        "burst": {"workers": 2, "batch_s": 1} | burst,
    }
    (folder / "burst.yaml").write_text(yaml.safe_dump(config))
    return ["--burst", str(folder / "burst.yaml")]


def run_with(server, folder, words, again=""):
    known = {"PORT": str(server.port), "SERVER": str(server.process.pid)}
    env = os.environ | known | {"AGAIN": again, "TMPDIR": str(folder)}
    env |= {"AWS_ENDPOINT_URL_S3": server.endpoint, **ACCESS}
    command = [sys.executable, "-c", PROGRAM, "run", *map(str, words), "--quiet"]
    return get_end(command, env=env)


def test_run__the_store_goes_and_never_comes_back(cohort, server, tmp_path):
    run, expected = cohort
    out = tmp_path / "out"
    options = write_config(tmp_path, server.endpoint, patience_s=1)
    words = [*run, "--out", out, *options, "--burst-share", "0.5"]
    code, lines, _ = run_with(server, tmp_path, words)
    assert code == 0, lines
    assert_same(out, expected)
    facts = json.loads((out / "manifest.json").read_text())["burst"]
    assert facts["tasks_given_back"] > 0
    assert f"s3://{BUCKET}" in facts["reason"]
    assert any("tasks are back from functions" in line for line in lines)
    assert "Traceback" not in "\n".join(lines)


def test_run__the_store_comes_back(cohort, server, tmp_path):
    run, expected = cohort
    out = tmp_path / "out"
    options = write_config(tmp_path, server.endpoint, patience_s=4)
    words = [*run, "--out", out, *options, "--burst-share", "0.5"]
    again = " ".join(map(str, server.process.args))
    code, lines, _ = run_with(server, tmp_path, words, again)
    assert code == 0, lines
    assert_same(out, expected)
    record = json.loads((out / "manifest.json").read_text())
    facts = record["burst"]
    assert facts["tasks_done"] + facts["tasks_here"] == record["search"]["tasks"]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("engine", ["mpi", "lithops"])
def test_run__the_store_was_never_there(cohort, tmp_path, ranks, engine):
    run, expected = cohort
    out = tmp_path / "out"
    endpoint = f"http://127.0.0.1:{find_port()}"
    options = [*write_config(tmp_path, endpoint, patience_s=0), "--engine", engine]
    before = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command = [*before, "mdr-epistasis", "run", *run, "--out", out, *options]
    code, lines, _ = get_end([*map(str, command), "--quiet"], env=os.environ | ACCESS)
    assert code == 0, lines
    assert_same(out, expected)
    facts = json.loads((out / "manifest.json").read_text())["burst"]
    assert facts["tasks_done"] == 0
    assert f"s3://{BUCKET}" in facts["reason"]
    assert any("no functions, the ranks do all tasks" in line for line in lines)
