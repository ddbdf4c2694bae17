"""Jobs as text: scripts, site files, times and sizes, the figures of the accounting."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import require
from hpc_connector.cli import find_out
from hpc_connector.cluster.accounting import read_figures
from hpc_connector.cluster.batch import Job, render_sbatch
from hpc_connector.cluster.site import Site, get_site, read_site
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest, save_manifest
from hpc_connector.units import format_time, parse_bytes, parse_time
from slurm_fakes import put_programs

ROOT = Path(__file__).parents[1]
PROGRAMS = ("mdr-epistasis", "metabolite-annotation")
COHORT = ROOT / "tests/data/bitepi_plink_100snps_2000/bfile.bed"


@pytest.mark.parametrize("program", PROGRAMS)
def test_render_sbatch__gives_the_scripts_for_sbatch_alone(program):
    golden = ROOT / f"slurm/{program.replace('-', '_')}.sbatch"
    assert render_sbatch(Job(program, ntasks_per_node=4), Site()) == golden.read_text()


def test_render_sbatch__of_an_array():
    site = Site("bsc00", "gp_debug", setup="module load impi; . v/bin/activate")
    runs = (("run", "a b.imzML", "--out", "a"), ("run", "c'.imzML", "--out", "c"))
    sizes = (2, 56, 2, 5400, 3 << 30, 90)
    job = Job(PROGRAMS[1], runs, *sizes, most_at_once=5, indices=(0, 1))
    head = render_sbatch(job, site).partition("# Every job")[0]
    assert head == (ROOT / "tests/data/slurm/array.sbatch").read_text()


@pytest.mark.parametrize("script", ["slurm/*.sbatch", "slurm/*.env"])
def test_scripts__are_clean(script):
    paths = sorted(ROOT.glob(script))
    assert paths
    subprocess.run([require("shellcheck"), "-s", "bash", *paths], check=True)


def test_scripts__of_any_arguments_are_clean(tmp_path):
    words = ("run", "a b", "$(rm -rf x)", "'", '"', "*", "--out", "x;y", "")
    for runs, indices in (((words,), ()), ((words, words[::-1]), (0, 4))):
        script = tmp_path / "job.sbatch"
        job = Job(PROGRAMS[0], runs, indices=indices)
        script.write_text(render_sbatch(job, Site()))
        check = [require("shellcheck"), "--severity=warning", script]
        subprocess.run(check, check=True)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"))))
def test_render_sbatch__gives_the_program_its_words(words):
    script = render_sbatch(Job("printf", (("%s\\0", *words),)), Site())
    begin, end = script.index("set -- "), script.index("# Every job")
    shell = script[begin:end] + '\nprintf "%s\\0" "$@"'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[1:-1] == words


def test_read_site__of_marenostrum():
    site = read_site(ROOT / "slurm/mn5.env")
    assert (site.account, site.qos, site.node_cores) == ("bsc00", "gp_bsccase", 112)
    assert site.setup.startswith("module purge")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SBATCH_ACOUNT=x", "SBATCH_ACOUNT: expected one of SBATCH_ACCOUNT,"),
        ("CONNECTOR_NODE_CORES=many", "=many: expected a whole number, 0 if it is not"),
        ("\nmodule load x", "line 2: expected NAME=VALUE, found 'module load x'"),
        ("CONNECTOR_SETUP='a", "line 1: No closing quotation"),
    ],
)
def test_read_site__says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "site.env"
    path.write_text(text)
    with pytest.raises(BadInput) as raised:
        read_site(path)
    assert str(path) in str(raised.value)
    assert message in str(raised.value)


def test_get_site__is_that_of_a_shell(monkeypatch, tmp_path):
    shell = f"source {ROOT}/slurm/mn5.env; env -0"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, check=True)
    for line in done.stdout.decode().split("\0"):
        name, _, value = line.partition("=")
        if name.startswith(("SBATCH", "CONNECTOR")):
            monkeypatch.setenv(name, value)
    assert get_site() == read_site(ROOT / "slurm/mn5.env")


@given(st.integers(0, 10**7))
def test_parse_time__undoes_format_time(time_s):
    found = parse_time(format_time(time_s))
    assert found % 60 == 0
    assert 0 <= found - time_s < 60


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30:00", 1800), ("00:01.500", 1.5), ("1-0", 86400), ("1-2:30", 95400)],
)
def test_parse_time__of_slurms_forms(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("120K", 122880), ("1.5G", 3 << 29), ("7", 7), ("", 0)]
)
def test_parse_bytes__of_slurms_forms(text, n_bytes):
    assert parse_bytes(text) == n_bytes


FIGURES = """\
7|REQUEUED|30|00:40.100||0|2||node[1-2]|2026-01-01T00:00:00|2026-01-01T00:00:30|10|cpu=4,mem=2G,node=2
7.batch|CANCELLED|30|00:00.100|5000K|0|1|1|node1|2026-01-01T00:00:00|x||
7.0|CANCELLED|29|00:40.000|90000K|17|2|4|node[1-2]|2026-01-01T00:00:01|x||
7|RUNNING|12|00:08.000||0|2||node[3-4]|2026-01-01T00:01:00|Unknown|UNLIMITED|billing=8,cpu=8,mem=3.50G,node=2
7.batch|RUNNING|12|||0|1|1|node3|2026-01-01T00:01:00|Unknown||
7.extern|RUNNING|12||9999999K|0|1|1|node3|2026-01-01T00:01:00|Unknown||
7.0|COMPLETED|10|00:08.000|100M||2|4|node[3-4]|2026-01-01T00:01:01|x||
"""


def test_read_figures__of_a_job_that_was_queued_again():
    first, second = read_figures(FIGURES)
    assert (first["state"], first["cpu_s"], first["energy_j"]) == ("REQUEUED", 40.1, 17)
    assert (second["max_rss_bytes"], second["energy_j"]) == (100 << 20, None)
    assert second["nodes"] == "node[3-4]"
    for name, values in {
        "node_mem_bytes": (1 << 30, 7 << 28),
        "cores": (4, 8),
        "limit_s": (600, 0),
        "n_tasks": (4, 4),
        "step_state": ("CANCELLED", "COMPLETED"),
    }.items():
        assert (first[name], second[name]) == values


def test_read_figures__of_a_script_of_an_older_version():
    short = "\n".join(line.rsplit("|", 2)[0] for line in FIGURES.splitlines())
    for attempt in read_figures(short):
        assert attempt["elapsed_s"]
        assert attempt["cores"] == attempt["node_mem_bytes"] == attempt["limit_s"] == 0


@pytest.mark.parametrize("text", ["", "\n", "slurm_load_jobs error: x\n", "7.0|x|y"])
def test_read_figures__without_accounting(text):
    assert read_figures(text) == []


def test_account__keeps_figures_of_every_job(tmp_path, monkeypatch):
    put_programs(monkeypatch, tmp_path / "bin")
    save_manifest(tmp_path, {"status": "done", "slurm": [{"job": "5"}, {"job": "7"}]})
    feed(monkeypatch, FIGURES)
    assert main(["account", "run", "x.bed", f"--out={tmp_path}"]) == 0
    kept = read_manifest(tmp_path)["slurm"]
    assert [attempt["job"] for attempt in kept] == ["5", "7", "7"]
    feed(monkeypatch, "")
    assert main(["account", "run", "x.bed", "--out", str(tmp_path)]) == 0
    assert read_manifest(tmp_path)["slurm"] == kept


def feed(monkeypatch, text):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_find_out__of_a_file_of_options(tmp_path):
    (tmp_path / "run.toml").write_text('out = "there"\n')
    config = ["run", "--config", str(tmp_path / "run.toml")]
    assert find_out(config) == Path("there")
    assert find_out([*config, "--out", "here"]) == Path("here")
    assert find_out(["run"]) is None


def test_submit__says_why_and_shows_the_script(capsys, caplog, tmp_path):
    site = tmp_path / "site.env"
    site.write_text("CONNECTOR_NODE_CORES=8\nCONNECTOR_NODE_MEM_GB=16\n")
    options = ["--site", str(site), "--dry-run", "--qos", "gp_debug", "--nodes", "3"]
    options += ["--dependency", "afterok:5"]
    run = ["run", str(COHORT), "--out", str(tmp_path / "out"), "--threads", "2"]
    with caplog.at_level("INFO"):
        assert main(["submit", *options, "mdr-epistasis", *run]) == 0
    script = capsys.readouterr().out
    for line in (
        "qos=gp_debug",
        "nodes=3",
        "ntasks-per-node=8",
        "dependency=afterok:5",
    ):
        assert f"#SBATCH --{line}\n" in script
    assert f"set -- run {COHORT} --out {tmp_path}/out" in script
    assert "100 variants (before filters) x 2,000 individuals" in caplog.text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "nodes", "ntasks"),
    [(["--ntasks", "12"], 2, 6), (["--ntasks", "12", "--nodes", "3"], 3, 4)],
)
def test_submit__ranks_in_all(capsys, monkeypatch, tmp_path, options, nodes, ntasks):
    monkeypatch.setenv("CONNECTOR_NODE_CORES", "8")
    monkeypatch.setenv("CONNECTOR_NODE_MEM_GB", "16")
    run = ["mdr-epistasis", "run", str(COHORT), "--out", str(tmp_path / "out")]
    assert main(["submit", "--dry-run", *options, *run]) == 0
    script = capsys.readouterr().out
    assert f"--nodes={nodes}\n#SBATCH --ntasks-per-node={ntasks}\n" in script
    assert main(["submit", "--dry-run", "--ntasks", "5", "--nodes", "2", *run]) == 2
    assert "--ntasks 5 on 2 nodes" in capsys.readouterr().err


def test_submit__an_array_of_datasets(capsys, tmp_path):
    listed = tmp_path / "cohorts.txt"
    listed.write_text(f"{COHORT}\n\n{COHORT.with_suffix('')}\n")
    out = str(tmp_path / "{name}")
    options = ["--array", str(listed), "--most-at-once", "4", "--dry-run"]
    run = ["mdr-epistasis", "run", "{}", "--out", out]
    assert main(["submit", *options, *run]) == 2  # both are called bfile
    assert f"line 3: {COHORT.with_suffix('')} would write" in capsys.readouterr().err
    other = tmp_path / "other.bed"
    for path in COHORT.parent.glob("bfile.*"):
        shutil.copy(path, other.with_suffix(path.suffix))
    listed.write_text(f"{COHORT}\n{other}\n")
    assert main(["submit", *options, *run]) == 0
    script = capsys.readouterr().out
    assert "#SBATCH --array=0-1%4\n" in script
    assert f"1) set -- run {other} --out {tmp_path}/other ;;" in script


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mem", "much"], "much: expected a size"),
        (["--site", "nowhere.env"], "nowhere.env: cannot be read"),
        (["--array", "nowhere"], "nowhere: cannot be read"),
    ],
)
def test_submit__bad_options_are_one_line(options, message):
    done = submit(*options, "mdr-epistasis", "run", COHORT, "--out", "x")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["mdr-epistasis", "run", "nowhere.bed", "--out", "x"],
            "No such file or directory",
        ),
        (["mdr-epistasis", "run", COHORT], "--out"),
        (["mdr-apistasis", "run"], "mdr-apistasis is not installed"),
    ],
)
def test_submit__checks_the_program_first(words, message):
    done = submit("--dry-run", *words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def submit(*words):
    command = ["hpc-connector", "submit", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("program", PROGRAMS)
def test_plan__is_one_object_and_does_nothing(program, tmp_path, capsys):
    import mdr_epistasis.program
    import metabolite_annotation.program

    data = ROOT / "tests/data"
    tiny = [str(data / "imzml/Untreated_3_434_tiny.imzML"), "--database"]
    tiny += [str(data / "databases/lipidmaps_2017-12-12-v2.tsv.gz")]
    run, inputs = {
        PROGRAMS[0]: (mdr_epistasis.program.main, [str(COHORT)]),
        PROGRAMS[1]: (metabolite_annotation.program.main, tiny),
    }[program]
    assert run(["run", *inputs, "--out", str(tmp_path / "out"), "--plan"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert cost["cpu_s"] > 0
    assert cost["rank_bytes"] > 1e8
    assert cost["tasks"] >= 1
    assert not (tmp_path / "out").exists()
