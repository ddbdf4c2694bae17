"""Arrays: lists of datasets, what their elements ask for, and what failed of them."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_connector.allocation.ask import AT_ONCE, ask_each
from hpc_connector.allocation.cost import (
    LEAST_S,
    MARGIN,
    Allocation,
    Cost,
    Limits,
    propose,
)
from hpc_connector.cluster.array import (
    MOST_BYTES,
    Element,
    cut_list,
    find_most,
    format_arguments,
    format_indices,
    get_name,
    list_elements,
)
from hpc_connector.cluster.batch import Job, render_sbatch
from hpc_connector.cluster.groups import ALIKE, get_core_s, group_alike, join_costs
from hpc_connector.cluster.site import Site
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.manifest import save_manifest
from programs import PATIENCE_S, wait_for

RUN = ("run", "{}", "--out", "out/{name}")
PLAN = {"cpu_s": 1.0, "serial_s": 1.0, "node_bytes": 1 << 20, "rank_bytes": 500 << 20}
PLAN |= {"tasks": 100, "reasons": ["by the formula"]}

PROGRAM = """\
[ -e "$2" ] || { echo "mdr-epistasis: $2: no such file" >&2; exit 2; }
cat "$2"
"""
SBATCH = """\
n=$(ls "$SENT" | wc -l)
[ "$n" -lt "${SBATCH_TAKES:-99}" ] || { echo "error: QOSMaxSubmitJob" >&2; exit 1; }
cat > "$SENT/$((n + 1))"
echo "$((n + 1))"
"""
SCONTROL = """\
echo "MaxArraySize            = ${MAX_ARRAY_SIZE:-1001}"
echo "MaxJobCount             = 10000"
echo "SchedulerParameters     = bf_interval=2"
"""


@pytest.fixture
def login(tmp_path, monkeypatch):
    """Return a login node, on which plans of datasets are what their files say."""
    place = tmp_path / "bin"
    place.mkdir()
    programs = {"mdr-epistasis": PROGRAM, "sbatch": SBATCH, "scontrol": SCONTROL}
    programs |= {"squeue": 'cat "$QUEUE"', "sacct": "true", "sinfo": "echo 8 16000"}
    for name, text in programs.items():
        (place / name).write_text(f"#!/bin/sh\n{text}")
        (place / name).chmod(0o755)
    (tmp_path / "sent").mkdir()
    (tmp_path / "queue").write_text("")
    for name, value in {
        "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
        "SENT": str(tmp_path / "sent"),
        "QUEUE": str(tmp_path / "queue"),
        "CONNECTOR_NODE_CORES": "8",
        "CONNECTOR_NODE_MEM_GB": "16",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_datasets(folder, **plans):
    """Write datasets, whose plan a login node finds in them, and a list of these."""
    for name, changes in plans.items():
        (folder / f"{name}.bed").write_text(json.dumps(PLAN | changes))
    (folder / "list").write_text("".join(f"{name}.bed\n" for name in plans))


def submit(*options):
    return main(["submit", "--array", "list", *options, "mdr-epistasis", *RUN])


def read_scripts(folder):
    """Return the options of each script that was sent, by name."""
    paths = sorted((folder / "sent").iterdir(), key=lambda path: int(path.name))
    texts = [path.read_text() for path in paths]
    return [dict(re.findall(r"^#SBATCH --(\S+?)=(.*)$", t, re.M)) for t in texts]


WRITTEN = [
    b"a.bed\nb.bed\n",
    b"a.bed\r\nb.bed\r\n",
    b"a.bed\rb.bed",
    b"\n \t\n# cohorts\n  #a.bed\n  a.bed \n\tb.bed\t\n\n",
    b"\xef\xbb\xbfa.bed\nb.bed",
    "a.bed\r\nb.bed\r\n".encode("utf-16"),
    "a.bed\nb.bed\n".encode("utf-16-le"),
]


@pytest.mark.parametrize("data", WRITTEN)
def test_list_elements__as_people_write_lists(tmp_path, data):
    path = tmp_path / "list"
    path.write_bytes(data)
    first, second = list_elements(RUN, path)
    assert first.arguments == ("run", "a.bed", "--out", "out/a")
    assert (second.index, second.out) == (1, Path("out/b"))


@pytest.mark.parametrize(
    "dataset",
    ["my cohort.bed", "it's.bed", 'a"b".bed', "größe/наука.bed", "$(x) #3;.bed", "{}"],
)
def test_list_elements__of_any_names(tmp_path, dataset):
    path = tmp_path / "list"
    path.write_text(f"x.bed\n{dataset}\n", encoding="utf-8")
    runs = [element.arguments for element in list_elements(RUN, path)]
    assert runs[1] == ("run", dataset, "--out", f"out/{get_name(dataset)}")
    lines = [*format_arguments(runs, (0, 7)), 'printf "%s\\0" "$@"']
    shell = ["bash", "-c", "\n".join(lines)]
    done = subprocess.run(
        shell, env={"SLURM_ARRAY_TASK_ID": "7"}, capture_output=True, check=True
    )
    assert tuple(done.stdout.decode().split("\0")[:-1]) == runs[1]


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("a.tar.gz", "a"),
        ("data/GAMETES_0.4H_EDM-1.tsv.gz", "GAMETES_0.4H_EDM-1"),
        ("s3://bucket/chr22.VCF.GZ", "chr22"),
        ("/data/plate.1.imzML", "plate.1"),
        (".hidden", ".hidden"),
        ("prefix", "prefix"),
        ("folder/", "folder"),
        ("a.gz", "a"),
    ],
)
def test_get_name__is_without_folder_and_ending(dataset, name):
    assert get_name(dataset) == name


TWICE = "expected each dataset once"


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("a.bed\n\nb.bed\na.bed\n", RUN, f"list, line 4: a.bed would write.*{TWICE}"),
        (
            "x/a.bed\n#\ny/a.vcf.gz\n",
            RUN,
            "y/a.vcf.gz would.* x/a.bed of .*list, line 1",
        ),
        ("a.bed\nb.bed\n", ("run", "{}", "--out=out"), TWICE),
        ("a\n./a\n", ("run", "{}", "--out", "out/{}"), "line 2: ./a would write"),
        (
            "a.bed\n",
            ("run", "b.bed", "--out", "out"),
            "expected {} among the arguments",
        ),
        ("a.bed\n", ("run", "b.bed", "--out", "{}"), "beside --out"),
        ("a.bed\n", ("run", "b.bed", "--out=o/{name}"), "beside --out"),
        ("a.bed\n", ("run", "{}"), "expected --out"),
        ("", RUN, "expected datasets, one a line"),
        ("# a.bed\n \n", RUN, "expected datasets, one a line"),
        ("a.bed\0\0", RUN, "expected text"),
    ],
)
def test_list_elements__refuses(tmp_path, text, words, message):
    path = tmp_path / "list"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        list_elements(words, path)


def test_list_elements__refuses_what_is_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(BadInput, match=f"{path}: cannot be read"):
            list_elements(RUN, path)


def test_list_elements__of_seeds(tmp_path):
    path = tmp_path / "list"
    path.write_text("1\n2\n")
    words = ("run", "a.bed", "--seed", "{}", "--out", "out/{}")
    assert list_elements(words, path)[1].arguments[-3:] == ("2", "--out", "out/2")


@given(st.sets(st.integers(0, 40), min_size=1))
def test_format_indices__names_each_once(indices):
    text, found = format_indices(sorted(indices), 9), []
    assert text.endswith("%9")
    for part in text.removesuffix("%9").split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    assert found == sorted(indices)


costs = st.builds(
    Cost,
    st.floats(0, 1e6),
    st.floats(0, 1e3),
    st.integers(0, 1 << 33),
    st.integers(1, 1 << 30),
    st.integers(1, 10_000),
)


@given(st.lists(costs, min_size=1, max_size=5))
def test_join_costs__covers_every_run(several):
    limits = Limits(cores=8, mem_bytes=1 << 40)
    joined = propose(
        join_costs([str(c) for c in several], several), limits, Allocation()
    )
    asked = Allocation(joined.nodes, joined.ntasks_per_node)
    for cost in several:
        own = propose(cost, limits, asked)
        assert own.mem_bytes <= joined.mem_bytes
        assert own.time_s <= joined.time_s + 1


def test_join_costs__asks_for_no_memory_that_none_needs():
    wide = Cost(1, 1, 10 << 30, 1 << 30, 1)
    deep = Cost(1, 1, 3 << 30, 9 << 30, 1)
    joined = join_costs("ab", [wide, deep])
    assert joined.node_bytes + joined.rank_bytes == 12 << 30


@given(st.lists(costs, min_size=1, max_size=9))
def test_group_alike__has_every_run_once(several):
    groups = group_alike(several)
    assert sorted(k for group in groups for k in group) == list(range(len(several)))
    for group in groups:
        times = [get_core_s(several[k]) for k in group]
        assert max(times) <= ALIKE * max(min(times), LEAST_S / MARGIN)


def test_submit__alike_datasets_are_sized_by_the_largest(login, capsys, caplog):
    save_datasets(login, a={}, b={"cpu_s": 1000}, c={"node_bytes": 1 << 30})
    with caplog.at_level("INFO"):
        assert submit() == 0
    assert capsys.readouterr().out == "1\n"
    (asked,) = read_scripts(login)
    assert (asked["array"], asked["output"]) == ("0-2", "%x-%A_%a.out")
    assert asked["time"] == "0-00:35:00"  # 2 x (1,000 + 1 + 30 s)
    assert int(asked["mem"][:-1]) >= 1.2 * (1024 + 500)
    assert "sized by b.bed, memory by c.bed, the largest of 3" in caplog.text


def test_submit__a_large_dataset_is_an_array_of_its_own(login, capsys, caplog):
    save_datasets(login, a={}, b={"cpu_s": 1e5}, c={"cpu_s": 3})
    with caplog.at_level("INFO"):
        assert submit("--most-at-once", "2") == 0
    assert capsys.readouterr().out == "1\n2\n"
    large, small = read_scripts(login)
    assert (large["array"], small["array"]) == ("1%2", "0,2%2")
    assert (large["nodes"], large["ntasks-per-node"]) == ("7", "8")
    assert (small["nodes"], small["ntasks-per-node"]) == ("1", "1")
    assert "sized by c.bed, the largest of 2" in caplog.text
    assert "--most-at-once 2 holds for each" in caplog.text


def test_submit__is_one_array_where_all_is_asked(login, capsys):
    save_datasets(login, a={}, b={"cpu_s": 1e5}, c={"rank_bytes": 8 << 30})
    options = ("--nodes", "2", "--ntasks", "4", "--mem", "9G", "--time", "60")
    assert submit(*options) == 0
    assert [asked["array"] for asked in read_scripts(login)] == ["0-2"]


def test_submit__names_what_cannot_be_read(login, capsys):
    save_datasets(login, a={}, b={}, c={}, d={})
    (login / "b.bed").unlink()
    (login / "d.bed").unlink()
    assert submit() == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "list, line 2: mdr-epistasis: b.bed: no such file; list, line 4: " in said
    assert not read_scripts(login)
    for path in login.glob("*.bed"):
        path.unlink()
    save_datasets(login, **{f"d{k}": {} for k in range(9)})
    for k in (0, 3, 4, 5, 6, 7):
        (login / f"d{k}.bed").unlink()
    assert submit() == 2
    assert "d6.bed: no such file and 1 more" in capsys.readouterr().err


def test_submit__does_not_look_at_all_where_none_can_be_right(login, capsys):
    save_datasets(login, **{f"d{k}": {} for k in range(2000)})
    command = ["submit", "--array", "list", "mdr-epistasy", *RUN]
    assert main(command) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.count("mdr-epistasy is not installed") == 1
    for k in range(6):
        (login / f"d{k}.bed").unlink()
    assert submit() == 2
    assert "list, line 5: mdr-epistasis: d4.bed: no such" in capsys.readouterr().err


def test_submit__is_ended_by_the_user(login):
    (login / "bin/mdr-epistasis").write_text("#!/bin/sh\ntouch begun\nsleep 1\n")
    save_datasets(login, **{f"d{k}": {} for k in range(2000)})
    command = ["hpc-connector", "submit", "--array", "list", "mdr-epistasis", *RUN]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for((login / "begun").exists)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.communicate(timeout=PATIENCE_S)[1] == ""
    assert process.returncode == 130


def test_submit__names_the_dataset_that_no_node_holds(login, capsys):
    save_datasets(login, a={}, b={"node_bytes": 17 << 30})
    assert submit() == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "list, sized by b.bed: 1 ranks need 18.8 GB on a node" in said
    assert not read_scripts(login)


def test_submit__more_datasets_than_an_array_takes(login, capsys, monkeypatch):
    monkeypatch.setenv("MAX_ARRAY_SIZE", "3")
    save_datasets(login, **{name: {} for name in "abcdefg"})
    assert submit() == 0
    assert capsys.readouterr().out == "1\n2\n3\n"
    assert [asked["array"] for asked in read_scripts(login)] == ["0-2", "0-2", "0"]
    last = (login / "sent/3").read_text()
    assert "0) set -- run g.bed --out out/g ;;" in last


def test_submit__says_what_is_left_where_slurm_takes_no_more(
    login, capsys, monkeypatch
):
    monkeypatch.setenv("MAX_ARRAY_SIZE", "3")
    monkeypatch.setenv("SBATCH_TAKES", "1")
    save_datasets(login, **{name: {} for name in "abcdefg"})
    assert submit() == 2
    said = capsys.readouterr()
    assert said.out == "1\n"
    assert "QOSMaxSubmitJob; 4 datasets are left, see --failed" in said.err


def make_elements(n_elements):
    return [
        Element(k, "", "", ("run", f"/data/{k:0500}.bed"), Path(f"out/{k}"))
        for k in range(n_elements)
    ]


@pytest.mark.parametrize("size", ["1001", "20000", "0", "unlimited"])
def test_find_most__is_what_slurm_takes(login, monkeypatch, size):
    monkeypatch.setenv("MAX_ARRAY_SIZE", size)
    elements = make_elements(12_000)
    most = find_most(elements)
    arrays = cut_list(elements, most)
    assert sum(map(len, arrays)) == len(elements)
    for array in arrays[:2]:
        indices = tuple(element.index % most for element in array)
        job = Job("x", tuple(e.arguments for e in array), indices=indices)
        assert len(render_sbatch(job, Site()).encode()) < MOST_BYTES
        assert max(indices) < (int(size) or 1 if size.isdigit() else 10_000)


def test_find_most__without_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_most(make_elements(3)) == 1001


def test_cut_list__keeps_places():
    elements = make_elements(2600)
    again = [elements[k] for k in (2503, 7, 2500)]
    first, last = cut_list(again, 500)
    assert [element.index for element in first] == [7]
    assert [element.index % 500 for element in last] == [0, 3]


def test_failed__submits_what_has_not_ended_well(login, capsys, caplog):
    save_datasets(login, **{name: {} for name in "abcdef"})
    for name, status in {"a": "done", "b": "running", "d": "done"}.items():
        save_manifest(make_out(login, name), {"status": status, "outputs": []})
    save_job(login, "c", "7_2")
    save_job(login, "e", "7_4")
    save_job(login, "f", "8")
    (login / "queue").write_text(
        "7_2|9|RUNNING|10:00|2026-01-01T00:00:00|node1|None\n"
        "7_4|10|FAILED|0:00|2026-01-01T00:00:00|node1|NonZeroExitCode\n"
        "8|8|PENDING|1:00:00|N/A||Priority\n"
    )
    with caplog.at_level("INFO"):
        assert submit("--failed") == 0
    assert [asked["array"] for asked in read_scripts(login)] == ["1,4"]
    assert "left out, for they are queued or running: c.bed, f.bed" in caplog.text
    assert "2 of 6 datasets have ended well, 2 are to run" in caplog.text


def test_failed__has_nothing_to_do(login, capsys, caplog):
    save_datasets(login, a={}, b={})
    for name in "ab":
        save_manifest(make_out(login, name), {"status": "done", "outputs": []})
    with caplog.at_level("INFO"):
        assert submit("--failed") == 0
    assert caplog.messages == ["2 of 2 datasets have ended well, none is left"]
    assert not read_scripts(login)


def test_failed__where_squeue_refuses(login, caplog):
    save_datasets(login, a={}, b={})
    save_job(login, "a", "7_0")
    (login / "queue").unlink()
    with caplog.at_level("INFO"):
        assert submit("--failed") == 0
    assert "squeue does not say" in caplog.text
    assert [asked["array"] for asked in read_scripts(login)] == ["0-1"]


def test_failed__refuses_what_it_cannot_know(login, capsys):
    save_datasets(login, a={}, b={})
    (make_out(login, "b") / "manifest.json").write_text("[")
    assert submit("--failed") == 2
    assert "out/b/manifest.json is not a manifest" in capsys.readouterr().err
    assert main(["submit", "--failed", "mdr-epistasis", "run", "a.bed"]) == 2
    assert "expected --array" in capsys.readouterr().err


def test_submit__grows_by_the_last_job_of_any_element(login, caplog):
    save_datasets(login, a={}, b={}, c={})
    short = {"job": "7", "state": "OUT_OF_MEMORY", "step_state": "", "n_nodes": 1}
    short |= {"node_mem_bytes": 2 << 30, "limit_s": 600, "elapsed_s": 9}
    short |= {"n_tasks": 1, "max_rss_bytes": 2 << 30, "start": ""}
    save_manifest(make_out(login, "b"), {"status": "running", "slurm": [short]})
    with caplog.at_level("INFO"):
        assert submit() == 0
    (asked,) = read_scripts(login)
    assert int(asked["mem"][:-1]) > 2048
    assert "job 7 ran out of memory" in caplog.text


def test_submit__looks_at_the_runs_beside_each_element(login, monkeypatch, caplog):
    save_datasets(login, a={}, b={})
    run = ["mdr-epistasis", "run", "{}", "--out", "{name}/out"]
    plan = {"status": "done", "plan": PLAN, "program": "mdr-epistasis"}
    used = {"ranks": 1, "nodes": 1, "threads": 1, "wall_s": 4, "cpu_s": 2}
    record = plan | {"resources": used | {"max_rss_bytes": 300 << 20}}
    save_manifest(make_out(login, "b/old", ""), record)
    with caplog.at_level("INFO"):
        options = ["submit", "--array", "list", "--deadline", "2h"]
        assert main([*options, *run]) == 0
    assert "1 run in a, b" in caplog.text


def make_out(folder, name, parent="out"):
    out = folder / parent / name
    out.mkdir(parents=True)
    return out


def save_job(folder, name, job):
    record = {"format_version": 1, "job": job}
    (make_out(folder, name) / "job.json").write_text(json.dumps(record))


def test_ask_each__is_ended_by_the_user():
    asked = []

    def ask(item):
        asked.append(item)
        time.sleep(0.01)
        if item == AT_ONCE:
            raise KeyboardInterrupt
        return item

    with pytest.raises(KeyboardInterrupt):
        list(ask_each(ask, range(100_000)))
    assert len(asked) < 100_000
