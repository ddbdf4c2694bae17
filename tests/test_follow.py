"""metabolite-annotation follow: the bytes of a run, as spectra come, after crashes."""

import itertools
import json
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisitions import make_records, read_results, send
from hpc_connector.loader.spectra.ibd import read_spectra
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.partitioner.launch import get_mpicomm
from hpc_connector.pipeline.ranks import run_on_ranks
from hpc_connector.streams.open import open_stream
from hpc_connector.streams.records import Record
from imzml import plant_lipids, write_imzml
from metabolite_annotation.follow.dataset import Growing
from metabolite_annotation.follow.options import FollowOptions
from metabolite_annotation.follow.pace import FIRST_SHARE, GROWTH, Pace
from metabolite_annotation.follow.receive import watch_seal
from metabolite_annotation.program import main
from programs import PATIENCE_S, wait_for

pytestmark = pytest.mark.usefixtures("own_patterns")

DATA = Path(__file__).parent / "data/imzml"
SMALL = ["--adducts", "+H", "--decoys", "2", "--fdr", "1", "--polarity", "positive"]
NEGATIVE = [*SMALL, "--adducts", "-H", "--polarity", "negative", "--profile", "as-is"]
OPTIONS = {
    "Example_Continuous": NEGATIVE,
    "Example_Processed": NEGATIVE,
    "Untreated_3_434_tiny": SMALL,
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Return a small dataset with known ions, its database, and their results."""
    folder = tmp_path_factory.mktemp("planted")
    imzml, database = plant_lipids(folder)
    out = folder / "run"
    given = ["--database", str(database), "--out", str(out), "--quiet", *SMALL]
    assert main(["run", str(imzml), *given]) == 0
    return imzml, database, out


def make_words(url, database, out, *more):
    given = ["--database", str(database), "--out", str(out), "--quiet", *SMALL]
    return ["follow", url, *given, *more]


def start(words, ranks=1):
    """Start a program that follows."""
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command = [*launch, sys.executable, "-m", "metabolite_annotation", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def is_growing(out):
    """Return whether there is the page of a growing result."""
    page = out / "report.html"
    return page.exists() and "not final" in page.read_text()


@pytest.mark.parametrize("name", OPTIONS)
def test_follow__gives_the_files_of_run(name, planted, tmp_path):
    imzml, database = DATA / f"{name}.imzML", planted[1]
    given = ["--database", str(database), "--quiet", *OPTIONS[name]]
    out, followed = tmp_path / "run", tmp_path / "follow"
    assert main(["run", str(imzml), *given, "--out", str(out)]) == 0
    url = send((tmp_path / "stream").as_uri(), make_records(imzml))
    assert main(["follow", url, *given, "--out", str(followed)]) == 0
    assert read_results(followed) == read_results(out)
    assert {p.name for p in followed.iterdir()} == {p.name for p in out.iterdir()}


@pytest.mark.parametrize(
    "form",
    [
        {"mz_type": "f4", "with_tic": True},
        {"mz_type": "f8", "is_zlib": True, "polarity": ""},
        {"mz_type": "f4", "mode": "continuous", "analyzer": "nothing known"},
    ],
)
def test_follow__gives_the_files_of_run_in_every_form(form, planted, tmp_path):
    first = read_imzml(str(planted[0]))
    (mz, *_), rng = read_spectra(first, 100, 101), np.random.default_rng(3)
    places = [(2 * k, 30 + 5 * (k % 3)) for k in range(8)] * 2  # of a stage, and twice
    spectra = [(*p, mz, rng.lognormal(5, 1, len(mz)).round()) for p in places]
    imzml = tmp_path / "form.imzML"
    write_imzml(imzml, spectra, **form)
    given = ["--database", str(planted[1]), "--quiet", *SMALL[:6], "--export", "csv"]
    out, followed = tmp_path / "run", tmp_path / "follow"
    assert main(["run", str(imzml), *given, "--out", str(out)]) == 0
    url = send((tmp_path / "stream").as_uri(), make_records(imzml))
    assert main(["follow", url, *given, "--out", str(followed)]) == 0
    assert read_results(followed) == read_results(out)


def test_follow__grows_in_any_order_and_ends_as_run(planted, tmp_path, capsys):
    imzml, database, expected = planted
    head, *points = make_records(imzml)
    random.Random(5).shuffle(points)
    url, out = (tmp_path / "stream").as_uri(), tmp_path / "out"
    send(url, [head, *points[:100]], seal=False)
    pages = []

    def go_on():
        wait_for(lambda: is_growing(out))
        pages.append((out / "report.html").read_text())
        record = json.loads((out / "manifest.json").read_text())
        pages.append(record["status"])
        send(url, [points[7], head, *points[50:]])  # some again

    thread = threading.Thread(target=go_on)
    thread.start()
    assert main(make_words(url, database, out)) == 0
    thread.join()
    assert "pixels 100 of 270, not final" in pages[0]
    assert 'id="acquiring"' in pages[0]
    assert pages[1] == "running"
    assert read_results(out) == read_results(expected)
    told = json.loads((out / "manifest.json").read_text())["acquired"]
    assert (told["spectra"], told["final"], told["results"]) == (270, True, 1)
    assert not list(out.glob("*.partial"))
    capsys.readouterr()
    assert main(make_words(url, database, out)) == 0  # nothing is left to do


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_follow__ended_at_any_moment_goes_on(number, planted, tmp_path):
    imzml, database, expected = planted
    records = make_records(imzml)
    url, out = (tmp_path / "stream").as_uri(), tmp_path / "out"
    send(url, records[:99], seal=False)
    words = make_words(url, database, out)
    process = start(words)
    wait_for(lambda: is_growing(out) or process.poll() is not None)
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == (75 if number == signal.SIGTERM else -9), said
    send(url, records[99:])
    assert main(words) == 0
    assert read_results(out) == read_results(expected)


def test_growing__takes_what_comes_again_at_once(tmp_path):
    head, one, two = make_records(DATA / "Untreated_3_434_tiny.imzML")[:3]
    records = [
        Record(0, str(k), k, *record, k)
        for k, record in enumerate([head, one, two, two, one])
    ]
    many, few = (Growing("file:///a", tmp_path / name) for name in "ab")
    many.add(records)
    few.add(records[:3])
    assert len(many) == 2
    assert many.path.read_bytes() == few.path.read_bytes()


def change(value, first, new):
    return value[:first] + new + value[first + len(new) :]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda r: r[1:], "key '1,1': expected the head before it"),
        (lambda r: [], "sealed without a record: expected the head"),
        (lambda r: r[:1], "with 0 spectra: number 0 is missing: expected 0 to 269"),
        (lambda r: r[:7] + r[8:], "with 269 spectra: number 6 is missing"),
        (lambda r: r[:100], "with 99 spectra: number 99 is missing"),
        (lambda r: [*r[:9], (r[8][0], r[8][1][:-1])], "bytes of spectrum 7: expected"),
        (
            lambda r: [*r[:9], (b"1,2", r[8][1])],
            "spectrum 7 is there already, with another place or other peaks",
        ),
        (
            lambda r: [*r[:9], (r[8][0], change(r[8][1], 10, b"\1"))],
            "spectrum 7 is there already",
        ),
        (
            lambda r: [*r[:9], (r[8][0], change(r[8][1], 0, b"\x0e\1"))],
            "spectrum 270: expected 0 to 269, as the head says",
        ),
        (lambda r: [*r[:9], (b"head", b"{}")], "another head"),
        (
            lambda r: [(b"head", r[0][1].replace(b'"<f8"', b'"<f2"', 1))],
            "mz_dtype '<f2': expected one of",
        ),
        (lambda r: [*r[:9], (b"line", b"")], "key 'line': expected X,Y"),
    ],
)
def test_follow__refuses_records_that_cannot_be(make, said, planted, tmp_path, capsys):
    imzml, database, _ = planted
    url, out = (tmp_path / "stream").as_uri(), tmp_path / "out"
    send(url, make(make_records(imzml)))
    with pytest.raises(SystemExit) as ended:
        main(make_words(url, database, out))
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert said in line
    assert line.startswith(f"metabolite-annotation: {url}: ")
    if "sealed" not in said:
        assert "record at " in line
    assert not out.exists()


def test_follow__refuses_a_stream_that_was_cut(planted, tmp_path, capsys):
    imzml, database, _ = planted
    url, out = (tmp_path / "stream").as_uri(), tmp_path / "out"
    with open_stream(url) as stream:
        stream.create(1)
    settings = tmp_path / "stream/stream.json"
    facts = json.loads(settings.read_text())
    settings.write_text(json.dumps(facts | {"roll_bytes": 100_000}))
    send(url, make_records(imzml))
    with open_stream(url) as stream:
        assert stream.retain(keep_bytes=200_000)
    with pytest.raises(SystemExit) as ended:
        main(make_words(url, database, out))
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{tmp_path}/stream: segment 0: " in said
    assert "deleted" in said


def test_follow__refuses_the_folder_of_another(planted, tmp_path, capsys):
    imzml, database, run = planted
    urls = [(tmp_path / name).as_uri() for name in "ab"]
    for url in urls:
        send(url, make_records(imzml))
    assert main(make_words(urls[0], database, tmp_path / "out")) == 0
    for url, out in ((urls[1], tmp_path / "out"), (urls[0], run)):
        with pytest.raises(SystemExit) as ended:
            main(make_words(url, database, out))
        assert ended.value.code == 2
        assert "cannot be resumed, for" in capsys.readouterr().err


def test_follow__gives_the_files_of_run_on_ranks(planted, tmp_path):
    imzml, database, expected = planted
    records = make_records(imzml)
    url, out = (tmp_path / "stream").as_uri(), tmp_path / "out"
    send(url, records[:99], seal=False)
    process = start(make_words(url, database, out), ranks=3)
    wait_for(lambda: is_growing(out) or process.poll() is not None)
    send(url, records[99:])
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert read_results(out) == read_results(expected)


def test_watch_seal__ends_a_growing_result(tmp_path):
    url, events = (tmp_path / "stream").as_uri(), (threading.Event(), threading.Event())
    given = {"dataset": url, "database": ("lipids.tsv",), "out": tmp_path}
    send(url, [(b"head", b"")], seal=False)
    todo, run = range(9), lambda task, _: events[task == 8].wait(PATIENCE_S)
    with watch_seal(FollowOptions(**given), *events):
        assert not events[1].is_set()
        send(url, [])
        comm = get_mpicomm(serial=True)
        found = run_on_ranks(comm, run, todo, lambda *_: None, is_stopped=events[0])
    assert not found.is_done
    assert events[1].is_set()


@given(
    st.lists(st.tuples(st.integers(0, 40), st.floats(0, 30)), max_size=60),
    st.sampled_from([None, 100, 1000]),
    st.sampled_from([5.0, 60.0]),
)
def test_pace__makes_at_most_four_times_the_work_of_the_last(steps, expected, every_s):
    pace, n, now_s, done = Pace(every_s, expected), 0, 100.0, []
    for more, wait_s in steps:
        now_s += wait_s
        n = min(n + more, expected or 10**9)
        pace.count(n, now_s)
        if pace.is_due(now_s):
            done.append((n, now_s))
            pace.begin(now_s)
    for (before, before_s), (after, after_s) in itertools.pairwise(done):
        assert after >= GROWTH * before
        assert after_s - before_s >= every_s
    if done:
        assert sum(n for n, _ in done[:-1]) <= 4 * done[-1][0]


def test_pace__begins_with_a_tenth_or_after_some_time():
    pace = Pace(60.0, 1000)
    pace.count(99, 5.0)
    assert not pace.is_due(6.0)
    assert pace.is_due(65.0)
    pace.count(int(1000 * FIRST_SHARE), 7.0)
    assert pace.is_due(7.0)
    unknown = Pace(60.0)
    unknown.count(10**6, 5.0)
    assert not unknown.is_due(64.9)
    assert unknown.is_due(65.0)


def test_pace__waits_for_the_seal_where_all_are_there():
    pace = Pace(1.0, 10)
    pace.count(10, 5.0)
    assert not pace.is_due(9.0)
    assert pace.is_due(11.0)
