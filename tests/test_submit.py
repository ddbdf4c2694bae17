"""What ``hpc-connector submit`` asks for, by what Slurm's programs say."""

import io
import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hpc_connector.allocation.cost import Allocation, Cost, Limits, propose
from hpc_connector.cluster.environment import get_environment
from hpc_connector.cluster.limits import FREE, Kind, ask_place, choose_kind, find_limits
from hpc_connector.cluster.options import INSTEAD, check_options
from hpc_connector.cluster.record import read_job, save_job
from hpc_connector.cluster.rules import ask_account, get_rules
from hpc_connector.cluster.site import Site, read_site
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.manifest import is_in_use, save_manifest
from hpc_connector.slurm import ask
from hpc_connector.units import parse_duration, parse_size

GB = 10**9
MIB = 1 << 20
PARTITIONS = """\
PartitionName=main Default=YES QoS=N/A MaxNodes=UNLIMITED MaxTime=12:00:00 \
MaxCPUsPerNode=UNLIMITED TotalNodes=100 MaxMemPerNode=UNLIMITED
PartitionName=long Default=NO QoS=plong MaxNodes=4 MaxTime=UNLIMITED TotalNodes=20 \
MaxMemPerNode=128000
PartitionName=viz Default=NO QoS=N/A MaxNodes=UNLIMITED MaxTime=1:00:00 TotalNodes=2
"""
NODES = {"main": "80 112 256000\n20 112 1024000\n", "viz": "2 8 32000\n"}
QOS = """\
normal|||||||
debug|DenyOnLimit|02:00:00||||cpu=|
small||2-00:00:00|cpu=64,mem=100G,node=2|cpu=32,mem=20G|||node=9
plong||7-00:00:00|||cpu=224||
fast|PartitionTimeLimit,OverPartQOS|3-00:00:00|cpu=500||||
"""
ACCOUNT = """\
bio|bio||debug||||
bio|phys||small|1-00:00:00|||
"""
FAKES = {
    "sinfo": 'n=; for w; do [ "$last" = --partition ] && n=$w; last=$w; done; '
    'cat "$(dirname "$0")/nodes.${n:-all}" 2>/dev/null',
    "scontrol": '[ "$1 $2" = "show partition" ] && cat "$(dirname "$0")/partitions"',
    "sacctmgr": 'case "$*" in *" user "*) f=account ;; *) f=qos ;; esac; '
    'cat "$(dirname "$0")/$f"',
    "sbatch": 'd=$(dirname "$0"); env >"$d/env"; cat >"$d/script"; '
    'echo "$*" >"$d/words"; [ ! -e "$d/no" ] || { cat "$d/no" >&2; exit 1; }; '
    'case "$*" in *--test-only*) echo "sbatch: Job 5 to start at 2030-01-01T00:00:00 '
    'using 2 processors on nodes n[1-2] in partition main" >&2 ;; '
    '*) echo "1234;virtual" ;; esac',
    "toy": 'd=$(dirname "$0"); cat "$d/plan"',
}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Return a folder of programs that say what those of Slurm would say."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, code in FAKES.items():
        (folder / name).write_text(f"#!/bin/bash\n{code}\n")
        (folder / name).chmod(0o755)
    for name, text in (("partitions", PARTITIONS), ("qos", QOS), ("account", ACCOUNT)):
        (folder / name).write_text(text)
    for name, text in NODES.items():
        (folder / f"nodes.{name}").write_text(text)
    set_plan(folder)
    for name in list(os.environ):
        if name.startswith(("SLURM_", "SBATCH_", "CONNECTOR_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return folder


def set_plan(folder, **changes):
    """Write what the program says that a run takes."""
    plan = {"cpu_s": 60.0, "serial_s": 1.0, "node_bytes": GB, "rank_bytes": GB}
    plan |= {"tasks": 10**6, "reasons": ["why"], "more_bytes": 0}
    (folder / "plan").write_text(json.dumps(plan | changes))


def submit(*options, out="out"):
    """Return the exit code of a submission of the toy program."""
    return main(["submit", *map(str, options), "toy", "run", "x", "--out", str(out)])


def get_asked(capsys, *options):
    """Return what the script of a submission asks for, by the names of sbatch."""
    assert submit("--dry-run", *options) == 0
    lines = capsys.readouterr().out.splitlines()
    words = [line.split(" ", 1)[1][2:] for line in lines if line.startswith("#SBATCH")]
    return dict(word.partition("=")[::2] for word in words)


@pytest.mark.parametrize(
    ("site", "found"),
    [
        (Site(), (100, 2 * 3600, 112, 256000 * MIB)),  # QOS debug of the account
        (Site(qos="normal"), (100, 12 * 3600, 112, 256000 * MIB)),
        (Site(qos="fast"), (100, 72 * 3600, 112, 256000 * MIB)),  # lifts the time
        (Site(account="phys"), (2, 12 * 3600, 32, 20 << 30)),
        (Site(account="phys", qos="normal"), (100, 12 * 3600, 112, 256000 * MIB)),
        (Site(slurm_partition="viz", qos="normal"), (2, 3600, 8, 32000 * MIB)),
        (Site(slurm_partition="main,viz", qos="normal"), (2, 3600, 0, 0)),
        (Site(qos="normal", most_hours=1.5, most_nodes=7), (7, 5400, 112, None)),
        (Site(qos="normal", most_hours=99, node_cores=56), (100, 43200, 56, None)),
        (Site(slurm_partition="nowhere", qos="unheard"), (0, 0, 0, 0)),
    ],
)
def test_find_limits__of_the_default_or_a_named_partition(slurm, site, found):
    limits = find_limits(ask_place(site))
    nodes, most_s, cores, mem_bytes = found
    assert (limits.most_nodes, limits.most_s) == (nodes, most_s)
    if cores:
        assert limits.cores == cores
    if mem_bytes:
        assert limits.mem_bytes == mem_bytes


def test_find_limits__of_the_partitions_qos_and_its_own(slurm):
    limits = find_limits(ask_place(Site(slurm_partition="long", qos="debug")))
    assert (limits.most_nodes, limits.most_s) == (4, 7 * 86400)  # that of plong rules
    assert limits.most_cores == 224
    limits = find_limits(ask_place(Site(slurm_partition="long", qos="fast")))
    assert (limits.most_s, limits.most_cores) == (3 * 86400, 224)
    assert limits.by["most_s"] == "QOS fast"


def test_find_limits__where_nothing_answers(slurm, monkeypatch):
    for name in ("sinfo", "scontrol", "sacctmgr"):
        (slurm / name).write_text("#!/bin/bash\necho 'Access denied' >&2; exit 1\n")
    limits = find_limits(ask_place(Site(qos="debug", most_hours=2, node_mem_gb=4)))
    assert (limits.most_s, limits.most_nodes, limits.mem_bytes) == (7200, 0, 4 * GB)
    assert limits.cores == os.cpu_count()
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_limits(ask_place(Site())).most_s == 0


def test_choose_kind__of_nodes_that_differ():
    thin, fat, odd = (
        Kind(1020, 112, 256 * GB),
        Kind(20, 128, 2000 * GB),
        Kind(1060, 8, 32 * GB),
    )
    kinds = (odd, fat, thin)
    assert choose_kind(kinds, FREE, 0) == thin
    assert choose_kind(kinds, FREE, 300 * GB) == fat
    assert choose_kind(kinds, FREE, 9000 * GB) == fat  # the nearest
    assert choose_kind(kinds, Allocation(nodes=1050), 0) == odd
    assert choose_kind(kinds, Allocation(ntasks_per_node=120), 0) == fat
    assert choose_kind((), FREE, 0) is None


def test_submit__says_which_nodes_can_serve(slurm, capsys, caplog):
    set_plan(slurm, rank_bytes=400 * GB)
    with caplog.at_level("INFO"):
        asked = get_asked(capsys, "--qos", "normal")
    assert asked["mem"] == "458909M"  # 1.2 times
    assert "nodes differ: for those of 112 cores and 1073.7 GB, 20 of 100" in (
        caplog.text
    )


def test_get_rules__partition_first_then_qos_then_account():
    account = {"Account": "a", "MaxWall": "1:00:00", "MaxTRES": "cpu=1"}
    qos = {"Name": "q", "MaxWall": "2:00:00", "MaxTRES": "node=3", "Flags": ""}
    ruling = {"Name": "p", "MaxWall": "3:00:00", "GrpTRES": "cpu=9,gres/gpu=1"}
    assert get_rules(account, qos, ruling) == {
        "most_s": (10800, "QOS p (partition)"),
        "most_cores": (1, "account a"),
        "most_nodes": (3, "QOS q"),
    }
    over = qos | {"Flags": "DenyOnLimit,OverPartQOS"}
    assert get_rules(account, over, ruling)["most_s"] == (7200, "QOS q")
    assert get_rules({}, {}, {}) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--time", "3:00:00"), "--time: 10800 s, QOS debug gives 7200 s"),
        (("--time", "UNLIMITED"), "--time: no limit, QOS debug gives 7200 s"),
        (("--time", "0"), "--time: no limit, QOS debug gives 7200 s"),
        (("--nodes", 101), "101 nodes, the default partition main gives 100 nodes"),
        (("--partition", "viz", "--nodes", 3), "3 nodes, the partition viz gives 2"),
        (("--slurm-partition", "viz", "--time", "2h"), "partition viz gives 3600 s"),
        (("--account", "phys", "--ntasks", 96), "6 nodes, QOS small gives 2 nodes"),
        (
            ("--partition", "long", "--nodes", 3, "--ntasks-per-node", 80),
            "240 cores in all, QOS plong (partition) gives 224 cores in all",
        ),
        (("--account", "phys", "--mem", "30g"), "bytes a node, QOS small gives 21,47"),
        (
            ("--account", "phys", "--nodes", 2, "--mem", "20g", "--ntasks", 66),
            "33 cores, QOS small gives 32 cores",
        ),
        (("--partition", "long", "--mem", "130000"), "partition long gives 134,217,7"),
    ],
)
def test_submit__refuses_what_would_never_start(slurm, capsys, options, said):
    assert submit("--dry-run", *options) == 2
    end = capsys.readouterr().err
    assert said in end
    assert len(end.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("most_nodes = 2", ("--nodes", 8), "8 nodes, the policy gives 2"),
        ('most_time = "1h"', ("--time", "1:30:00"), "5400 s, the policy gives 3600"),
        ('most_mem = "2G"', ("--mem", "4G"), "a node, the policy gives 2,147,483,648"),
        ("most_cores = 4", ("--ntasks", 8), "8 cores in all, the policy gives 4"),
        ('partitions = ["acc"]', (), "partition main: the policy allows acc"),
        ('partitions = ["main"]', ("--partition", "main,viz"), "partition viz: the"),
        ('qos = ["gp"]', (), "QOS debug: the policy allows gp"),
        ('qos = ["gp"]', ("--qos", "normal"), "QOS normal: the policy allows gp"),
    ],
)
def test_submit__within_a_policy(slurm, capsys, text, options, said):
    Path("policy.toml").write_text(text)
    assert submit("--dry-run", "--policy", "policy.toml", *options) == 2
    assert said in capsys.readouterr().err


def test_submit__gives_no_more_time_than_the_partition_has(slurm, capsys):
    set_plan(slurm, cpu_s=1e9, tasks=1)
    for options in ((), ("--deadline", "99d", "--history", "none")):
        if not options:
            asked = get_asked(capsys, "--partition", "viz", "--qos", "normal")
            assert asked["time"] == "0-01:00:00"
    set_plan(slurm)
    (slurm / "partitions").write_text(PARTITIONS.replace("12:00:00", "00:05:00"))
    options = ("--deadline", "1d", "--history", "none", "--qos", "normal")
    assert get_asked(capsys, *options)["time"] == "0-00:05:00"


def test_propose__within_cores_and_memory_of_all_nodes():
    cost = Cost(1e7, 1.0, GB, GB, 10**6)
    limits = Limits(32, 20 * GB, 9, 0, most_cores=64, most_mem_bytes=30 * GB)
    found = propose(cost, limits, FREE)
    assert found.nodes * found.ntasks_per_node <= 64
    assert found.nodes * found.mem_bytes <= 30 * GB
    found = propose(cost, replace(limits, most_mem_bytes=0), FREE)
    assert (found.nodes, found.ntasks_per_node) == (3, 19)


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("20g", 20480),
        ("20GB", 20480),
        ("20gb", 20480),
        ("20480", 20480),
        ("1024k", 1),
        ("2T", 2 << 20),
        ("0", 0),
        ("0G", 0),
    ],
)
def test_parse_size__as_sbatch_takes_it(text, mib):
    assert parse_size(text) == mib << 20


@pytest.mark.parametrize(
    "text", ["1.5G", "1.5", "-1", "", "nan", "UNLIMITED", "20MiB", "20P", "5B", "20 G"]
)
def test_parse_size__refuses_what_sbatch_refuses(text):
    with pytest.raises(ValueError, match="expected a size such as 20G"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 300),
        ("5:30", 330),
        ("1:00:00", 3600),
        ("100:00:00", 360000),
        ("1-0", 86400),
        ("1-2:30", 95400),
        ("1-2:30:10", 95410),
        ("1-48", 3 * 86400),
        ("2h", 7200),
        ("30m", 1800),
        ("1d", 86400),
        ("1H30M", 5400),
        ("1.5h", 5400),
        ("infinite", float("inf")),
        ("UNLIMITED", float("inf")),
    ],
)
def test_parse_duration__as_sbatch_and_people_write_it(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "inf", "nan", "-1", "-2-1", "+5", "1.5", "1:2:3:4", "2 h", "h", "soon"]
)
def test_parse_duration__refuses(text):
    with pytest.raises(ValueError, match="expected minutes, or a time such as 2h"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--time", "inf", "argument --time: inf: expected minutes, or a time such"),
        ("--time", "-5", "argument --time: -5: expected minutes"),
        ("--mem", "1.5G", "argument --mem: 1.5G: expected a size such as 20G"),
        ("--mem", "", "argument --mem: '': expected a size"),
        ("--warn", "0", "argument --warn: 0: expected seconds of 1 or more"),
        ("--warn", "UNLIMITED", "expected seconds of 1 or more, or H:MM:SS"),
        ("--warn", "soon", "argument --warn: soon: expected seconds, or a time such"),
        ("--sbatch", "--mem=5G", "--mem cannot be passed through: use --mem of"),
        ("--sbatch", "-p gpp", "--partition cannot be passed through"),
        ("--sbatch", "perf", "--sbatch 'perf': expected such as --constraint=perf"),
    ],
)
def test_submit__bad_options_are_one_line(slurm, capsys, option, text, said):
    with pytest.raises(SystemExit) as raised:
        submit("--dry-run", option, text)
    assert raised.value.code == 2
    end = capsys.readouterr().err
    assert said in end
    assert len(end.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (("--mem", "20gb"), {"mem": "20480M"}),
        (("--mem", "0"), {"mem": "0"}),
        (("--time", "0:30"), {"time": "0-00:01:00"}),
        (("--time", "1-12", "--qos", "fast"), {"time": "1-12:00:00"}),
        (
            ("--time", "UNLIMITED", "--partition", "main", "--qos", "unheard"),
            None,  # main gives 12 hours
        ),
        (("--warn", "300", "--time", "1:00:00"), {"signal": "B:USR1@300"}),
        (("--warn", "5:00", "--time", "1:00:00"), {"signal": "B:USR1@300"}),
        (("--warn", "0:10:00", "--time", "1h"), {"signal": "B:USR1@600"}),
        (("--warn", "2m", "--time", "1h"), {"signal": "B:USR1@120"}),
        (("--warn", "20:00", "--time", "10"), {"signal": "B:USR1@200"}),
        (("--time", "1"), {"signal": "B:USR1@20"}),
        (("--export", "HOME,PATH"), {"export": "HOME,PATH"}),
        ((), {"export": "ALL", "signal": "B:USR1@120", "time": "0-00:10:00"}),
        (
            ("--sbatch", "--constraint=perf", "--sbatch=-w n1 --hold"),
            {"constraint": "perf"},
        ),
    ],
)
def test_submit__asks_as_the_options_say(slurm, capsys, options, asked):
    if asked is None:
        assert submit("--dry-run", *options) == 2
        return
    found = get_asked(capsys, *options)
    assert asked.items() <= found.items()


def test_submit__says_what_a_node_has_where_more_is_asked_for(slurm, capsys, caplog):
    with caplog.at_level("INFO"):
        assert get_asked(capsys, "--mem", "2T", "--qos", "normal")["mem"] == "2097152M"
    assert "--mem 2199.0 GB: a node has 1073.7 GB, and sbatch refuses more" in (
        caplog.text
    )


def test_submit__warns_as_the_script_says(slurm, capsys, caplog):
    with caplog.at_level("INFO"):
        assert submit("--dry-run", "--time", "2", "--warn", "1:00") == 0
    script = capsys.readouterr().out
    assert "#SBATCH --signal=B:USR1@40\n" in script
    assert "\nCONNECTOR_WARN=40 # seconds" in script
    assert "--warn 60 s: 40 s, a third of the time" in caplog.text


def test_submit__passes_options_through_as_they_are(slurm, capsys):
    more = '--comment="a b" --exclusive'
    assert submit("--dry-run", "--sbatch", more, "--sbatch", "-w n1") == 0
    script = capsys.readouterr().out
    assert f"#SBATCH {more}\n#SBATCH -w n1\n" in script


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_check_options__refuses_its_own_by_name(name):
    with pytest.raises(BadInput, match=f"--{name} cannot be passed through"):
        check_options(f"--exclusive --{name}=1")


@pytest.mark.parametrize(
    "text", ["--mem-bind=local", "--time-min=5", "--nodelist=n1", "--error=e", "-C a&b"]
)
def test_check_options__leaves_others(text):
    assert check_options(text) == text


@pytest.mark.parametrize("text", ["-N2", "-t 5", "--parti=x", "-x n1 -A bio", "-W"])
def test_check_options__knows_them_short(text):
    with pytest.raises(BadInput, match="cannot be passed through"):
        check_options(text)


def test_submit__memory_by_the_processor(slurm, capsys, monkeypatch):
    monkeypatch.setenv("CONNECTOR_MEM", "per-cpu")
    options = ("--mem", "8G", "--ntasks-per-node", 2, "--cpus-per-task", 4)
    asked = get_asked(capsys, *options)
    assert asked["mem-per-cpu"] == "1024M"
    assert "mem" not in asked
    monkeypatch.setenv("CONNECTOR_MEM", "by-core")
    assert submit("--dry-run") == 2
    assert "CONNECTOR_MEM=by-core: expected per-node or per-cpu" in (
        capsys.readouterr().err
    )


def test_submit__options_before_the_file_before_the_environment(
    slurm, capsys, monkeypatch
):
    monkeypatch.setenv("SBATCH_ACCOUNT", "phys")
    monkeypatch.setenv("SBATCH_PARTITION", "viz")
    Path("site.env").write_text("SBATCH_PARTITION=long\nexport SBATCH_QOS=normal\n")
    asked = get_asked(capsys, "--site", "site.env", "--qos", "fast")
    assert (asked["account"], asked["partition"], asked["qos"]) == (
        "phys",
        "long",
        "fast",
    )


def get_variables(folder):
    """Return the environment that sbatch was started with."""
    lines = (folder / "env").read_text().splitlines()
    return {line.partition("=")[0]: line.partition("=")[2] for line in lines}


SAID = {
    "SBATCH_ACCOUNT": "other",
    "SBATCH_QOS": "other",
    "SBATCH_PARTITION": "other",
    "SBATCH_TIMELIMIT": "1",
    "SBATCH_MEM_PER_NODE": "1",
    "SBATCH_MEM_PER_CPU": "1",
    "SBATCH_EXPORT": "NONE",
    "SBATCH_JOB_NAME": "other",
    "SBATCH_ARRAY_INX": "0-9",
    "SBATCH_OUTPUT": "other",
    "SBATCH_SIGNAL": "INT@1",
    "SBATCH_OPEN_MODE": "truncate",
    "SBATCH_NO_REQUEUE": "1",
    "SBATCH_WAIT": "1",
    "SLURM_MEM_PER_CPU": "300",
    "SLURM_NTASKS": "99",
    "SLURM_NNODES": "9",
    "SLURM_TIMELIMIT": "1",
    "SLURM_CPUS_PER_TASK": "9",
    "SLURM_EXPORT_ENV": "NONE",
    "SLURM_QOS": "other",
}
WANTED = {
    "SLURM_CONF": "/etc/slurm/slurm.conf",
    "SLURM_MPI_TYPE": "pmix",
    "SBATCH_RESERVATION": "course",
    "SBATCH_CONSTRAINT": "perf",
    "MY_OWN": "1",
}
OF_A_JOB = {
    "SLURM_JOB_ID": "77",
    "SLURM_SUBMIT_DIR": "/else",
    "SLURM_TOPOLOGY_ADDR": "node1",
    "SLURMD_NODENAME": "node1",
    "SRUN_DEBUG": "3",
    "TMPDIR": "/scratch/77",
}


@pytest.mark.parametrize("outer", [{}, OF_A_JOB])
def test_submit__environment_says_nothing_against_it(slurm, monkeypatch, outer):
    for name, text in (SAID | WANTED | outer).items():
        monkeypatch.setenv(name, text)
    if "TMPDIR" in outer:
        monkeypatch.setattr("tempfile.tempdir", None)
    options = ("--qos", "normal", "--account", "bio", "--partition", "main")
    assert submit(*options, "--mem", "4G", "--time", "1h") == 0
    found = get_variables(slurm)
    assert not found.keys() & (SAID.keys() | outer.keys())
    assert WANTED.items() <= found.items()
    script = (slurm / "script").read_text()
    assert "#SBATCH --qos=normal\n" in script
    assert "\nexport SLURM_EXPORT_ENV=ALL" in script


def test_get_environment__keeps_what_a_script_leaves_open():
    kept = {"SBATCH_ACCOUNT": "a", "SBATCH_MEM_PER_CPU": "9", "TMPDIR": "/tmp"}
    never = {"SBATCH_EXPORT": "NONE", "SBATCH_WAIT": "1", "SBATCH_ARRAY_INX": "0-3"}
    script = "#!/bin/bash\n#SBATCH --time=1\n#SBATCH --constraint=a\n"
    said = {"SBATCH_TIMELIMIT": "9", "SBATCH_CONSTRAINT": "b"}
    assert get_environment(kept | said | never, script) == kept


def test_submit__keeps_a_record_of_the_job(slurm, capsys, tmp_path):
    assert submit("--qos", "normal", "--time", "1h", "--mem", "2G") == 0
    assert capsys.readouterr().out == "1234\n"
    record = read_job(tmp_path / "out")
    submitted = record.pop("submitted")
    assert submitted.endswith("+00:00")
    assert record == {
        "format_version": 1,
        "job": "1234",
        "program": "toy",
        "arguments": ["run", "x", "--out", "out"],
        "log": f"{tmp_path}/toy-1234.out",
        "folder": str(tmp_path),
        "asked": {
            "nodes": 1,
            "ntasks_per_node": 1,
            "cpus_per_task": 1,
            "mem_bytes": 2 << 30,
            "time_s": 3600,
            "qos": "normal",
            "partition": "",
            "account": "",
        },
    }
    assert not is_in_use(tmp_path / "out")


def test_submit__keeps_a_record_of_each_element(slurm, tmp_path):
    Path("list").write_text("a.bed\nb.bed\n")
    options = ["--array", "list", "toy", "run", "{}", "--out", "{name}"]
    assert main(["submit", *options]) == 0
    for k, name in enumerate("ab"):
        record = read_job(tmp_path / name)
        assert record["job"] == f"1234_{k}"
        assert record["arguments"] == ["run", f"{name}.bed", "--out", name]
        assert record["log"] == f"{tmp_path}/toy-1234_{k}.out"


def test_submit__of_a_folder_that_is_not_here(slurm, capsys, caplog):
    assert submit(out="/proc/nowhere/out") == 0
    assert capsys.readouterr().out == "1234\n"
    assert "/proc/nowhere/out/job.json is not written here" in caplog.text


@pytest.mark.parametrize("option", ["--dry-run", "--check"])
def test_submit__leaves_no_record_of_what_is_not_submitted(slurm, tmp_path, option):
    assert submit(option) == 0
    assert not (tmp_path / "out").exists()


def test_submit__check_says_when_it_would_start(slurm, capsys):
    assert submit("--check") == 0
    assert (slurm / "words").read_text() == "--test-only\n"
    assert capsys.readouterr().out == (
        "Job 5 to start at 2030-01-01T00:00:00 using 2 processors on nodes n[1-2] in "
        "partition main\n"
    )
    (slurm / "no").write_text("allocation failure: Requested node\nis not there\n")
    assert submit("--check") == 2
    assert "sbatch refuses: allocation failure: Requested node is not there" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "text", ["[]", "null", "{", '{"format_version": 2}', '{"job": "1"}']
)
def test_read_job__refuses_what_is_no_record(tmp_path, text):
    with pytest.raises(BadInput, match="no job was submitted"):
        read_job(tmp_path)
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(BadInput, match=r"job\.json"):
        read_job(tmp_path)
    save_job(tmp_path, {"job": "1"})
    assert read_job(tmp_path)["job"] == "1"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("echo hello", "toy --plan says no plan: expected a program of this suite"),
        ("true", "toy --plan says no plan"),
        ("echo '[]'", "toy --plan says no plan"),
        ("echo '{\"reasons\": []}'", "toy --plan says no plan"),
        ("kill -9 $$", "toy --plan failed: signal 9"),
        ("exit 3", "toy --plan failed: exit code 3"),
        ("cat", "toy --plan says no plan"),  # and it waits for nothing
        ("printf '\\xff\\n'", "toy --plan failed: 'utf-8' codec"),
        ("echo 'toy: x.bed: not there' >&2; exit 2", "toy: x.bed: not there"),
        (
            "printf 'Traceback (most recent call last):\\n x\\nValueError: bad\\n' >&2;"
            " exit 1",
            "toy --plan failed: ValueError: bad",
        ),
    ],
)
def test_submit__a_program_that_says_no_plan(slurm, capsys, code, said):
    (slurm / "toy").write_text(f"#!/bin/bash\n{code}\n")
    assert submit("--dry-run") == 2
    end = capsys.readouterr().err
    assert said in end
    assert len(end.splitlines()) == 1


def test_submit__takes_the_plan_behind_what_a_module_prints(slurm, capsys):
    (slurm / "toy").write_text('#!/bin/bash\necho loaded\ncat "$(dirname $0)/plan"\n')
    assert submit("--dry-run") == 0


def test_submit__of_an_image_without_a_runtime_here(slurm, capsys, caplog, monkeypatch):
    monkeypatch.setenv("CONNECTOR_IMAGE", "/apps/suite.sif")
    tools = slurm.parent / "tools"
    tools.mkdir()
    for name in ("bash", "cat", "dirname", "env"):
        found = subprocess.run(["which", name], capture_output=True, text=True)
        (tools / name).symlink_to(found.stdout.strip())
    monkeypatch.setenv("PATH", f"{slurm}:{tools}")
    with caplog.at_level("INFO"):
        assert submit("--dry-run") == 0
    assert "the plan is that of toy outside /apps/suite.sif" in caplog.text
    (slurm / "toy").unlink()
    assert submit("--dry-run") == 2
    end = capsys.readouterr().err
    assert "/apps/suite.sif: to ask for the plan of a run, apptainer or sing" in end
    monkeypatch.delenv("CONNECTOR_IMAGE")
    assert submit("--dry-run") == 2
    assert "toy is not installed here" in capsys.readouterr().err


def test_submit__of_a_program_in_a_folder(slurm, capsys):
    assert main(["submit", "--dry-run", "bin/toy", "run", "--out", "out"]) == 2
    assert "bin/toy: expected the name of a program" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("out: there", "run.toml: cannot be read as TOML"),
        (None, "run.toml: cannot be read as TOML"),
        ("PK\x03\x04", "run.toml"),
    ],
)
def test_submit__of_a_config_that_is_none(slurm, capsys, text, said):
    if text is not None:
        Path("run.toml").write_text(text)
    words = ["submit", "--dry-run", "toy", "run", "x", "--config", "run.toml"]
    assert main(words) == 2
    end = capsys.readouterr().err
    assert said in end
    assert len(end.splitlines()) == 1


FIGURES = (
    "7|{state}|{elapsed}|00:01||0|1||n|x|x|{minutes}|cpu=2,mem=200M,node=1\n"
    "7.0|{step}|{elapsed}|00:01|{rss}|0|1|2|n|x|x||\n"
)


def grow(folder, capsys, *options, **figures):
    """Return what a job that ended is to ask for, and what is said of it."""
    text = FIGURES.format(**figures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(text))
        words = ["telemetry", "grow", *options, "run", "x", "--out", "out"]
        code = main(words)
    found = capsys.readouterr()
    return code, found.out.strip(), found.err


STOPPED = {"state": "RUNNING", "step": "FAILED", "rss": "9M"}
KILLED = {"state": "RUNNING", "step": "CANCELLED by 0", "rss": "150M"}


@pytest.mark.parametrize(
    ("variables", "minutes", "said"),
    [
        ({"SLURM_JOB_QOS": "normal"}, 10, "TimeLimit=20"),
        ({"SLURM_JOB_QOS": "debug"}, 110, "TimeLimit=120"),
        ({"SLURM_JOB_QOS": "debug"}, 120, ""),
        ({"SLURM_JOB_PARTITION": "viz"}, 50, "TimeLimit=60"),
        ({"SLURM_JOB_PARTITION": "viz"}, 60, ""),
        ({"SLURM_JOB_ACCOUNT": "phys", "SLURM_JOB_QOS": "normal"}, 720, ""),
        ({"CONNECTOR_MOST_HOURS": "0.03333333333333333"}, 2, ""),
        (
            {"CONNECTOR_MOST_HOURS": "0.25", "SLURM_JOB_QOS": "normal"},
            10,
            "TimeLimit=15",
        ),
    ],
)
def test_grow__time_within_what_may_run(
    slurm, capsys, caplog, monkeypatch, variables, minutes, said
):
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    options = ("--code", "75")
    with caplog.at_level("INFO"):
        code, found, _ = grow(
            slurm,
            capsys,
            *options,
            minutes=minutes,
            elapsed=60 * minutes - 90,
            **STOPPED,
        )
    assert (code, found) == (0, said)
    if not said:
        assert "the same time again, for finished tasks are kept" in caplog.text


def test_grow__memory_within_what_a_node_has(slurm, capsys, monkeypatch):
    ended = {"minutes": 10, "elapsed": 30, **KILLED}
    options = ("--code", "137")
    assert grow(slurm, capsys, *options, **ended)[:2] == (0, "MinMemoryNode=330")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "100")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "2")
    assert grow(slurm, capsys, *options, **ended)[:2] == (0, "MinMemoryCPU=165")
    monkeypatch.delenv("SLURM_MEM_PER_CPU")
    monkeypatch.setenv("CONNECTOR_NODE_MEM_GB", "0.2097152")
    code, found, said = grow(slurm, capsys, *options, **ended)
    assert (code, found) == (2, "")
    assert "memory ran short: no more than 209,715,200 bytes may be given" in said
    assert len(said.splitlines()) == 1


def test_submit__goes_on_with_the_most_time_that_there_is(slurm, capsys, caplog):
    """A run that was stopped at the end of all the time it may have."""
    attempt = {"job": "7", "state": "TIMEOUT", "elapsed_s": 7200, "limit_s": 7200}
    attempt |= {"n_nodes": 1, "n_tasks": 1, "max_rss_bytes": 0, "start": "x"}
    save_job(Path("out"), {"job": "7"})
    save_manifest(Path("out"), {"status": "running", "slurm": [attempt] * 5})
    with caplog.at_level("INFO"):
        asked = get_asked(capsys)
    assert asked["time"] == "0-02:00:00"
    assert "the same time again" in caplog.text


def test_submit__says_in_the_script_to_what_it_may_grow(slurm, capsys):
    assert submit("--dry-run", "--partition", "viz", "--qos", "normal") == 0
    script = capsys.readouterr().out
    assert "\nexport CONNECTOR_MOST_HOURS=1.0\n" in script
    assert f"\nexport CONNECTOR_NODE_MEM_GB={32000 * MIB / 1e9}\n" in script


def test_submit__help_says_units_and_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["submit", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "--slurm-partition NAME, --partition NAME",
        "a third of the time at most",
        "20480 (megabytes), 0 for all that it has",
        "D-HH:MM:SS",
        "where it runs:",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("options", "nodes", "ranks"),
    [
        (("--ntasks", 8, "--ntasks-per-node", 2), 4, 2),
        (("--ntasks", 4, "--cpus-per-task", 75), 4, 1),  # one on a node
        (("--ntasks", 8, "--cpus-per-task", 42), 4, 2),
        (("--ntasks", 224), 2, 112),
        (("--ntasks", 300), 3, 100),
        (("--account", "phys", "--ntasks", 32), 2, 16),  # of 1 GB each, 20 GB a node
    ],
)
def test_submit__deals_ranks_to_as_few_nodes_as_hold_them(
    slurm, capsys, options, nodes, ranks
):
    asked = get_asked(capsys, *options)
    assert (asked["nodes"], asked["ntasks-per-node"]) == (str(nodes), str(ranks))


def test_submit__as_many_ranks_as_the_memory_of_a_job_serves(slurm, capsys):
    set_plan(slurm, cpu_s=1e6)
    (slurm / "qos").write_text("debug||7-00:00:00|mem=50G||||\n")
    asked = get_asked(capsys)
    assert (asked["nodes"], asked["ntasks-per-node"]) == ("1", "52")
    assert asked["mem"] == "51200M"
    assert submit("--dry-run", "--ntasks", 60, "--nodes", 1) == 2
    said = capsys.readouterr().err
    assert "60 ranks need 61.0 GB on a node, QOS debug gives 53.7 GB" in said


@pytest.mark.parametrize(
    ("options", "who"),
    [
        (("--qos", "DEBUG", "--time", "3:00:00"), "QOS debug gives 7200 s"),
        (("--account", "PHYS", "--nodes", 3), "QOS small gives 2 nodes"),
    ],
)
def test_submit__names_of_slurm_in_capitals(slurm, capsys, options, who):
    assert submit("--dry-run", *options) == 2
    assert who in capsys.readouterr().err


def test_submit__a_policy_names_a_qos_in_capitals(slurm, capsys):
    Path("policy.toml").write_text('qos = ["Debug"]\n')
    options = ("--dry-run", "--policy", "policy.toml", "--qos")
    assert submit(*options, "DEBUG") == 0
    assert submit(*options, "normal") == 2


def test_ask_account__of_this_cluster_alone(slurm):
    """The accounting of a site may be that of several clusters."""
    (slurm / "scontrol").write_text("#!/bin/sh\necho 'ClusterName             = mn5'\n")
    (slurm / "sacctmgr").write_text(f'#!/bin/sh\necho "$*" > {slurm}/words\n')
    ask_account("bio")
    assert " withassoc cluster=mn5 format=" in (slurm / "words").read_text()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("CONNECTOR_MOST_HOURS=inf", "a number"),
        ("CONNECTOR_MOST_HOURS=48h", "a number"),
        ("CONNECTOR_NODE_MEM_GB=nan", "a number"),
        ("CONNECTOR_NODE_CORES=-4", "a whole number"),
        ("CONNECTOR_MOST_NODES=2.5", "a whole number"),
    ],
)
def test_submit__of_a_site_whose_numbers_are_none(
    slurm, capsys, monkeypatch, line, said
):
    Path("site.env").write_text(f"{line}\n")
    assert submit("--dry-run", "--site", "site.env") == 2
    end = capsys.readouterr().err
    assert (
        end
        == f"hpc-connector: site.env: {line}: expected {said}, 0 if it is not known\n"
    )
    monkeypatch.setenv(*line.split("="))
    assert submit("--dry-run") == 2
    assert f"environment: {line}: expected {said}" in capsys.readouterr().err


def test_read_site__as_a_shell_takes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    path = tmp_path / "site.env"
    path.write_text(
        "\ufeffexport CONNECTOR_IMAGE=$HOME/x.sif\nexport CONNECTOR_BIND=~/data\n"
        "export CONNECTOR_MOST_HOURS=\n"
        "export CONNECTOR_SETUP='module load $MODULES'\n"
    )
    site = read_site(path)
    assert (site.image, site.bind) == ("/home/ada/x.sif", "/home/ada/data")
    assert (site.setup, site.most_hours) == ("module load $MODULES", 0)


def test_submit__asks_for_whole_minutes_within_what_is_given(slurm, capsys):
    set_plan(slurm, cpu_s=1e4)
    Path("site.env").write_text("CONNECTOR_MOST_HOURS=0.11\n")  # 6.6 minutes
    assert get_asked(capsys, "--site", "site.env")["time"] == "0-00:06:00"
    Path("policy.toml").write_text("most_time = 450\n")
    asked = get_asked(capsys, "--policy", "policy.toml")
    assert asked["time"] == "0-00:07:00"


def test_submit__quotes_what_slurm_splits(slurm, capsys):
    asked = get_asked(
        capsys, "--export", "ALL,TITLE=a b", "--dependency", "afterok:1?2"
    )
    assert asked["export"] == "'ALL,TITLE=a b'"
    assert asked["dependency"] == "'afterok:1?2'"


def test_submit__of_a_file_whose_name_is_no_text(slurm, capfdbinary):
    name = os.fsdecode(b"caf\xe9.txt")
    assert main(["submit", "--dry-run", "toy", "run", name, "--out", "out"]) == 0
    assert b"caf\xe9.txt" in capfdbinary.readouterr().out
    assert main(["submit", "toy", "run", name, "--out", "out"]) == 0
    assert b"caf\xe9.txt" in (slurm / "script").read_bytes()


@pytest.mark.parametrize("said", ["Welcome!\n1234;virtual\n", "2024\nx\n1234\n"])
def test_submit__of_an_sbatch_that_greets(slurm, capsys, caplog, said):
    (slurm / "sbatch").write_text(
        f"#!/bin/sh\ncat >/dev/null; echo 'sbatch: 9 hours are left' >&2\n"
        f"printf '{said}'\n"
    )
    with caplog.at_level("INFO"):
        assert submit() == 0
    assert capsys.readouterr().out == "1234\n"
    assert read_job(Path("out"))["job"] == "1234"
    assert "sbatch: 9 hours are left" in caplog.text


def test_submit__of_an_sbatch_that_says_no_number(slurm, capsys):
    (slurm / "sbatch").write_text("#!/bin/sh\ncat >/dev/null; echo slurm 22.05.8\n")
    assert submit() == 2
    end = capsys.readouterr().err.splitlines()[-1]
    assert end == "hpc-connector: sbatch says no number of a job: slurm 22.05.8"
    assert not Path("out").exists()


@pytest.mark.parametrize("limit", ["UNLIMITED", "Partition_Limit", ""])
def test_grow__time_of_a_job_that_named_none(slurm, capsys, monkeypatch, limit):
    monkeypatch.setenv("SLURM_JOB_QOS", "normal")
    ended = {"minutes": limit, "elapsed": 3600, **STOPPED, "state": "TIMEOUT"}
    assert grow(slurm, capsys, "--code", "75", **ended)[:2] == (0, "TimeLimit=90")


def test_grow__memory_of_a_job_that_had_all(slurm, capsys, monkeypatch):
    """Where memory is no resource to Slurm, --mem 0 is not known in figures."""
    figures = "7|OUT_OF_MEMORY|9|00:01||0|1||n|x|x|10|cpu=2,node=1\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(figures))
    assert main(["telemetry", "grow", "run", "x", "--out", "out"]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert "job 7 ran out of memory, and Slurm does not say how much" in found.err


def test_ask__is_not_filtered_by_the_environment(slurm, monkeypatch):
    for name in ("SQUEUE_PARTITION", "SINFO_PARTITION", "SACCT_FORMAT"):
        monkeypatch.setenv(name, "viz")
    assert not re.search("=viz", ask("env"))
