"""The best models of a search as they are found, in a stream."""

import json
import logging
import shutil

import numpy as np
import pytest

from hpc_connector.errors import BadInput, Later
from hpc_connector.learner.mdr import search as learner
from hpc_connector.streams.beside import prepare_stream
from hpc_connector.streams.file_segments import FileStream
from hpc_connector.streams.open import open_stream
from mdr_epistasis.output.best_stream import BestStream
from mdr_epistasis.program import main
from programs import assert_same
from results_streams import (
    OPTIONS,
    check_stream,
    make_cohort,
    read_stream,
    run_kills,
    run_whole,
)

SEALS = (
    "from mdr_epistasis.output import best_stream as b; before = b.prepare_stream; "
    "b.prepare_stream = lambda url, *known: (before(url, *known), "
    "b.open_stream(url).seal()); "
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def reference(cohort):
    """Return the results of a run without a stream."""
    run_whole(cohort, "--out", cohort.parent / "reference")
    return cohort.parent / "reference"


def list_table(out):
    """Return the variants and test accuracies of the first models of a table."""
    lines = (out / "models.tsv").read_text().splitlines()
    names = lines[0].split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]
    rows.sort(key=lambda row: int(row["rank"]) or 10**9)
    return [
        (
            row["variant_1"],
            row["variant_2"],
            round(float(row["test_balanced_accuracy"]), 9),
        )
        for row in rows
    ]


@pytest.mark.parametrize("ranks", [1, 2])
def test_run__tells_its_best_models_and_has_the_same_results(
    cohort, reference, tmp_path, ranks
):
    out, url = tmp_path / "out", f"file://{tmp_path}/stream"
    run_whole(cohort, "--out", out, "--results-stream", url, ranks=ranks)
    assert_same(out, reference)
    segments = check_stream(url, out)
    assert len(segments) == ranks
    assert all(segments)
    told = [
        one for records in segments for one in json.loads(records[-1].value)["best"]
    ]
    found = {(*m["variants"], round(m["test_balanced_accuracy"], 9)) for m in told}
    table = list_table(out)
    assert set(table[:10]) <= found
    assert len(told) == 10 * ranks
    tasks = [[json.loads(one.value)["tasks"] for one in part] for part in segments]
    assert all(part == sorted(part) for part in tasks)


def test_run__is_not_spoilt_by_a_stream_that_is_sealed(cohort, reference, tmp_path):
    out, url = tmp_path / "out", f"file://{tmp_path}/stream"
    said = run_whole(cohort, "--out", out, "--results-stream", url, more=SEALS)
    assert_same(out, reference)
    assert said.count("--results-stream: the run goes on without it") == 1
    assert read_stream(url) == ([[]], True)


def test_run__ends_the_stream_of_one_that_was_killed_before(
    cohort, reference, tmp_path
):
    out, url = tmp_path / "out", f"file://{tmp_path}/stream"
    shutil.copytree(reference, out)
    prepare_stream(url, 1, "rank")
    for _ in range(2):
        run_whole(cohort, "--out", out, "--results-stream", url, "--resume")
        assert check_stream(url, out) == [[]]
    assert_same(out, reference)


def test_run__is_refused_where_there_is_no_room(cohort, tmp_path, capfd):
    out, url = tmp_path / "out", f"file://{tmp_path}/stream"
    with open_stream(url) as stream:
        stream.create(1)
        stream.seal()
    words = [str(cohort), "--out", str(out), *OPTIONS, "--results-stream", url]
    assert main(["run", *words]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line == f"mdr-epistasis: {url} is sealed: expected the URL of a new stream"
    assert not out.exists()


def test_run__is_refused_with_encrypted_results(cohort, tmp_path, capfd):
    words = [
        "run",
        str(cohort),
        "--out",
        str(tmp_path / "out"),
        "--encrypt-to",
        "a.pub",
    ]
    assert main([*words, "--results-stream", f"file://{tmp_path}/stream"]) == 2
    assert "--results-stream: its records are not encrypted" in capfd.readouterr().err
    assert not (tmp_path / "stream").exists()


def test_kills__leave_results_and_a_stream_that_are_whole(tmp_path):
    n_killed, _ = run_kills(tmp_path, 3, seed=4)
    assert n_killed >= 3


def make_arrays(keys, models):
    """Return what a thread has found, as a ledger has it."""
    question = learner.Question(top=len(keys), permutations=1)
    best = learner.make_best(question, folds=2)
    best.key[: len(keys)], best.model[: len(keys)] = keys, models
    best.size[0] = len(keys)
    return best._asdict() | {"maximum": np.zeros(1)}


def test_best_stream__tells_once_a_second_and_of_all_threads(tmp_path, monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    url = f"file://{tmp_path}/stream"
    first = make_arrays([[0.6, 0.7, 0.65]], [[0, 1]])
    second = make_arrays([[0.8, 0.9, -1.0], [0.5, 0.5, 0.5]], [[1, 2], [0, 2]])
    earlier = make_arrays([[0.7, 0.7, 0.7], [0.6, 0.7, 0.65]], [[3, 4], [0, 1]])
    prepare_stream(url, 1, "rank")
    best = BestStream(open_stream(url), 0)
    best.begin(np.array(["a", "b", "c", "d", "e"]), learner.Question())
    best.add([earlier])
    best.tell(0, 1, first)
    best.tell(1, 1, second)  # too soon
    now_s[0] += 0.9
    best.tell(0, 2, first)
    now_s[0] += 0.2
    best.tell(0, 3, first)
    best.close()
    ((one, two),), _ = read_stream(url)
    models = json.loads(one.value)["best"]
    assert ["".join(m["variants"]) for m in models] == ["de", "ab"]
    record = json.loads(two.value)
    assert record["tasks"] == 4
    assert ["".join(m["variants"]) for m in record["best"]] == ["bc", "de", "ab", "ac"]
    assert record["best"][0] == {
        "variants": ["b", "c"],
        "test_balanced_accuracy": 0.8,
        "train_balanced_accuracy": 0.9,
        "balanced_accuracy": None,
    }


def test_best_stream__warns_once_where_it_cannot_tell(tmp_path, caplog):
    url = f"file://{tmp_path}/stream"
    prepare_stream(url, 1, "rank")
    with open_stream(url) as holder:
        holder.append(0, b"k", b"v")
        best = BestStream(open_stream(url), 0)
        best.begin(np.array(["a", "b"]), learner.Question())
        with caplog.at_level(logging.WARNING):
            for n in range(3):
                best.tell(0, n, make_arrays([[0.6, 0.7, 0.65]], [[0, 1]]))
        best.close()
    assert len(caplog.messages) == 1
    with pytest.raises(BadInput):
        prepare_stream(url, 2, "rank")


def test_best_stream__goes_on_where_a_server_has_gone(tmp_path, caplog, monkeypatch):
    def append(*_):
        raise Later("not for 30 s")

    url = f"file://{tmp_path}/stream"
    prepare_stream(url, 1, "rank")
    monkeypatch.setattr(FileStream, "append", append)
    best = BestStream(open_stream(url), 0)
    best.begin(np.array(["a", "b"]), learner.Question())
    best.tell(0, 1, make_arrays([[0.6, 0.7, 0.65]], [[0, 1]]))
    best.close()
    assert caplog.messages[0].endswith("the run goes on without it: not for 30 s")
