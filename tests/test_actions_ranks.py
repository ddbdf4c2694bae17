"""Near-data actions on ranks and nodes: the same files, what moved, how they end."""

import filecmp
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpc_connector.actions.counts import read_counts
from hpc_connector.commands.main import main
from hpc_connector.storer import Shards
from mdr_epistasis.output.all_models import count_earlier, list_earlier
from mdr_epistasis.tasks import count_errors, make_tasks
from programs import PATIENCE_S, get_end, make_command
from test_flow import COHORT

SEARCH = [*COHORT.split()[1:], "--permutations", "0", "--quiet", "--all-models"]
SPEC = """
inputs = ["*.csv"]
table = true
action = [
    {name = "hits", do = "filter", where = "p < 0.05 and chromosome != 6"},
    {name = "some", do = "sample", p = 0.1, seed = 3},
    {name = "two", do = "project", columns = ["chromosome", "id"]},
    {name = "all", do = "compress", interleaving = true},
    {name = "best", do = "top-k", by = "p", k = 9, least = true},
    {name = "total", do = "sum", by = "p"},
    {name = "least", do = "min", by = "p"},
    {name = "greatest", do = "max", by = "p"},
    {name = "bins", do = "histogram", by = "p", edges = [0.1, 0.5]},
    {name = "pairs", do = "contingency", columns = ["chromosome", "case"]},
    {name = "sorted", do = "merge", by = "p"},
    {name = "words", do = "count-words", interleaving = true},
]
"""
CODE = """
import sys
from hpc_connector.actions import run
from hpc_connector.commands.main import main

run.PIECE_BYTES = {piece_bytes}
sys.exit(main())
"""


def make_table(path, rows):
    """Write a table of p-values, some missing, and return its rows."""
    chance = random.Random(path.name)
    table = []
    for k in range(rows):
        p = "NA" if k % 50 == 7 else f"{chance.random() ** 4:.12g}"
        table.append((f"rs{k}", p, str(chance.randint(1, 9)), str(k % 2)))
    lines = ["id,p,chromosome,case", *map(",".join, table)]
    path.write_text("\n".join(lines))  # the last line has no end
    return table


def run(out, spec, ranks=1, nodes=1, piece_bytes=1 << 12):
    """Run a specification on ranks of virtual nodes; return how it ends."""
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    code = [sys.executable, "-c", CODE.format(piece_bytes=piece_bytes)]
    command = [*launch, *code, "actions", "run", str(spec), "--out", str(out)]
    return get_end(command, env=os.environ | {"MPIR_CVAR_NUM_CLIQUES": str(nodes)})


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return a specification, the rows it is of, and its results on one rank."""
    folder = tmp_path_factory.mktemp("actions")
    rows = [row for n in (1, 2) for row in make_table(folder / f"{n}.csv", 900)]
    (folder / "spec.toml").write_text(SPEC)
    out = folder / "alone"
    assert run(out, folder / "spec.toml")[:2] == (0, [])
    return folder / "spec.toml", rows, out


def read(out, name):
    """Return the rows of a result, after its heads."""
    return [line.split(",") for line in (out / f"{name}.txt").read_text().splitlines()]


def test_run__agrees_with_plain_loops(alone):
    _, rows, out = alone
    known = [row for row in rows if row[1] != "NA"]
    by_p = sorted(known, key=lambda row: (float(row[1]), ",".join(row)))
    hits = [list(r) for r in known if float(r[1]) < 0.05 and int(r[2]) != 6]
    heads = ["id", "p", "chromosome", "case"]
    assert read(out, "hits") == [heads, *hits]
    assert read(out, "all") == [heads, *map(list, rows)]
    assert read(out, "two")[1:] == [[row[2], row[0]] for row in rows]
    assert read(out, "best")[1:] == [list(row) for row in by_p[:9]]
    assert read(out, "sorted")[1 : len(known) + 1] == [list(row) for row in by_p]
    assert {row[1] for row in read(out, "sorted")[len(known) + 1 :]} == {"NA"}
    pairs = Counter((row[2], row[3]) for row in rows)
    found = (out / "pairs.txt").read_text().splitlines()[1:]
    assert {tuple(f[:2]): int(f[2]) for f in (line.split("\t") for line in found)} == (
        dict(pairs)
    )
    values = [float(row[1]) for row in known]
    counts = [
        line.split("\t")[2] for line in (out / "bins.txt").read_text().splitlines()
    ][1:]
    inside = sum(0.1 <= value < 0.5 for value in values)
    assert int(counts[1]) == inside
    least = (out / "least.txt").read_text().splitlines()[1]
    assert least == f"{min(values)!r}\tp"


@pytest.mark.parametrize(("ranks", "nodes"), [(2, 2), (3, 1), (7, 2)])
def test_run__same_bytes_on_any_ranks_and_nodes(alone, tmp_path, ranks, nodes):
    spec, _, out = alone
    assert run(tmp_path / "out", spec, ranks, nodes)[:2] == (0, [])
    names = sorted(path.name for path in out.glob("*.txt"))
    assert len(names) == 12
    assert sorted(p.name for p in (tmp_path / "out").glob("*.txt")) == names
    same, *_ = filecmp.cmpfiles(out, tmp_path / "out", names, shallow=False)
    assert sorted(same) == names
    rows = read_counts(tmp_path / "out")
    assert {row["node"] for row in rows} == set(range(nodes))
    total = json.loads((tmp_path / "out/actions.json").read_text())["total"]
    assert (total["ratio"] is None) == (nodes == 1)
    for row in rows:
        is_away = row["node"] > 0
        assert row["would_move_bytes"] == (row["in_bytes"] if is_away else 0)
        assert row["moved_bytes"] == (row["out_bytes"] if is_away else 0)


def test_run__word_count_moves_little(tmp_path, capsys):
    """Glider's example: at most 0.5 % of what would have moved."""
    chance = random.Random(1)
    words = [f"word{k}" for k in range(250)]
    text = [" ".join(chance.choices(words, k=10)) for _ in range(40_000)]
    (tmp_path / "book.txt").write_text("\n".join(text))
    spec = tmp_path / "words.toml"
    asked = '[[action]]\nname = "words"\ndo = "count-words"\ninterleaving = true\n'
    spec.write_text(f'inputs = ["book.txt"]\n{asked}')
    assert run(tmp_path / "out", spec, 4, 2, piece_bytes=1 << 18)[:2] == (0, [])
    lines = (tmp_path / "out/words.txt").read_text().splitlines()[1:]
    counts = {word: int(n) for word, n in (line.split("\t") for line in lines)}
    assert counts == Counter(" ".join(text).split())
    assert main(["actions", "report", str(tmp_path / "out"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["actions"]
    moved = sum(row["moved_bytes"] for row in rows)
    would = sum(row["would_move_bytes"] for row in rows)
    assert 0 < moved <= 0.005 * would
    assert main(["actions", "report", str(tmp_path / "out")]) == 0
    assert "Reduced on the 2 nodes where it was" in capsys.readouterr().out


def test_example__counts_words_and_moves_little(tmp_path):
    words = [f"word{k % 97} other{k % 89}" for k in range(150_000)]
    for name in "ab":
        (tmp_path / name).write_text("\n".join(words) + "\n")
    example = Path(__file__).parents[1] / "examples/word_count_near_data.py"
    done = subprocess.run(
        ["mpirun", "-n", "4", sys.executable, example, tmp_path / "a", tmp_path / "b"],
        env=os.environ | {"MPIR_CVAR_NUM_CLIQUES": "2"},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    *lines, told = done.stdout.splitlines()
    expected = Counter(2 * " ".join(words).split())
    counts = {word: int(n) for n, word in map(str.split, lines)}
    assert len(counts) == 10
    assert all(expected[word] == n for word, n in counts.items())
    moved, would = (int(n) for n in re.findall(r"\d+", told.replace(",", "")))
    assert 0 < moved <= 0.005 * would


ENDING = """
import os, signal, sys
from hpc_connector import cli
from hpc_connector.actions import near_data
from hpc_connector.partitioner import get_mpicomm
from hpc_connector.partitioner.ending import abort_on_error

class Odd:
    def on_write(self, records):
        for record in records:
            if how == "raise" and bytes(record) == b"%d" % (comm.size - 1):
                raise KeyError("odd")
    def on_read(self):
        yield b"%d" % comm.rank

how, comm = sys.argv[1], get_mpicomm()
is_last = comm.rank == comm.size - 1

def produce():
    yield b"first"
    if how == "kill" and is_last:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "break" and is_last:
        raise OSError(5, "Input/output error", "genotypes.bed")
    yield b"%d" % comm.rank

with abort_on_error(comm, lambda error: cli.explain("program", error)):
    with near_data(comm, between_nodes=how == "away") as area:
        odd = area.create("odd", Odd)
        odd.write(produce(), node=1 if how == "away" else None)
        found = area.reduce("odd", list)
    if comm.rank == 0:
        print(found, [(row["records"], row["moved_bytes"]) for row in area.rows])
"""


def end(how, ranks=3, nodes=1):
    """Return how a program of actions ends: code, and what it says."""
    done = subprocess.run(
        ["mpirun", "-n", str(ranks), sys.executable, "-c", ENDING, how],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=os.environ | {"MPIR_CVAR_NUM_CLIQUES": str(nodes)},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("nodes", [1, 3])
def test_near_data__an_action_that_raises_is_told_once(nodes):
    code, said = end("raise", nodes=nodes)
    assert said == "program: action odd raised KeyError: 'odd' (<string>, line 12)\n"
    assert code == 2


def test_near_data__a_rank_that_raises_is_told_once():
    code, said = end("break")
    assert (code, said.count("\n")) == (1, 1), said
    assert "Input/output error: 'genotypes.bed'" in said


def test_near_data__no_rank_waits_for_one_that_is_killed():
    code, said = end("kill")
    assert code in (signal.SIGKILL, 128 + signal.SIGKILL), said
    assert "Traceback" not in said


def test_near_data__writes_to_a_node_from_another():
    """Ranks 0 and 2 are of node 0: what they send is counted, a byte a message more."""
    code, said = end("away", ranks=4, nodes=2)
    sent = 2 * sum(map(len, (b"wodd", b"rfirst", b"r0", b"e")))
    assert (code, said) == (0, f"[b'0', b'1'] [(0, {sent}), (8, 1)]\n")


def test_search__reduces_on_each_node(tmp_path):
    """One list of models, and one histogram of all errors, travels a node."""
    two = os.environ | {"MPIR_CVAR_NUM_CLIQUES": "2"}
    command = make_command(4, *SEARCH, "--out", tmp_path / "out")
    assert get_end(command, env=two)[:2] == (0, [])
    assert get_end(make_command(1, *SEARCH, "--out", tmp_path / "alone"))[:2] == (0, [])
    folders = tmp_path / "alone", tmp_path / "out"
    names = ["models.tsv", "results.h5", "all_models/000000.h5"]
    assert filecmp.cmpfiles(*folders, names, shallow=False)[0] == names
    rows = read_counts(tmp_path / "out")
    assert {row["action"] for row in rows} == {"best models", "errors of all models"}
    for row in rows:
        assert row["records"] == row["ranks"] == 2
        assert row["moved_bytes"] == (row["out_bytes"] if row["node"] else 0)
    with h5py.File(tmp_path / "out/results.h5") as file:
        errors = file["all_models/error"][:]
    known = errors[~np.isnan(errors)]
    counts = Counter(int(error * np.float32(200)) for error in known)
    for folder in folders:
        record = json.loads((folder / "manifest.json").read_text())
        n_models = record["all_models"]["models"]
        assert n_models == len(known) == record["search"]["models"]
        found = record["all_models"]["errors"]
        assert dict(counts) == {k: n for k, n in enumerate(found) if n}
    page = (tmp_path / "out/report.html").read_text()
    assert "Near the data" in page
    assert "Errors of all models" in page
    assert not (tmp_path / "alone/actions.json").exists()
    assert "Near the data" not in (tmp_path / "alone/report.html").read_text()


def test_count_earlier__is_of_tiles_that_are_stored(tmp_path):
    tasks = make_tasks((20, 8, 2, 16), 2, 16, None)
    n_tiles = len(tasks.tiles)
    assert len(tasks) > n_tiles > 3
    todo = np.setdiff1d(np.arange(len(tasks)), [0, 2, len(tasks) - 1])
    assert list_earlier(tasks, todo) == [0, 2]
    shards = Shards(tmp_path, "error", (320, 320))
    errors = np.random.default_rng(1).random((2, 128, 128)).astype(np.float32)
    errors[0, :5] = np.nan
    for tile, values in zip((0, 2), errors, strict=True):
        shards.save(tile, [0, 0], values)
    found = count_earlier(shards, [0, 2])
    assert found.tolist() == count_errors(errors).tolist()
    assert found.sum() == 2 * 128**2 - 5 * 128
