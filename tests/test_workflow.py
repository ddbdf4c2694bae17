"""The rules of workflow/ under the real Snakemake, on what config/config.yaml names."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.locks.folder_lock import check_free
from mdr_epistasis.program import main
from programs import PATIENCE_S, assert_same, wait_for, write_code

ROOT = Path(__file__).parent.parent
COHORT = ROOT / "tests/data/hipster_1000genomes_vcf"
LABELS = ["--labels", str(COHORT / "Hipster.tsv")]
MORE_TASKS = "--permutations 100"  # than the first


def make_command(folder, *targets, words=""):
    """Return the command of the workflow in a folder, with options of the search."""
    (folder / "tests").symlink_to(ROOT / "tests")
    search = {"genotypes": [f"tests/data/{COHORT.name}/Hipster.vcf.bgz"]}
    search |= {"labels": f"tests/data/{COHORT.name}/Hipster.tsv", "options": words}
    (folder / "own.yaml").write_text(json.dumps({"epistasis": {"hipster": search}}))
    files = ["--configfile", ROOT / "config/config.yaml", folder / "own.yaml"]
    command = [sys.executable, "-m", "snakemake", *targets, "--cores", "2", *files]
    command += ["--snakefile", ROOT / "workflow/Snakefile", "--directory", folder]
    return [*command, "--set-resources", "epistasis:tasks=2"]


def run(command, **options):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, **options
    )


def is_free(out):
    """Return whether no run works in a folder."""
    with contextlib.suppress(BadInput):
        check_free(out)
        return True
    return False


def read_record(folder, name):
    return json.loads((folder / f"results/{name}/manifest.json").read_text())


def test_workflow__has_nothing_for_lint():
    done = run([sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflow__runs_both_programs_once(tmp_path):
    command = make_command(tmp_path)
    done = run(command)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path, "epistasis/hipster")
    assert (record["status"], record["resources"]["ranks"]) == ("done", 2)
    record = read_record(tmp_path, "annotation/spheroid")
    assert (record["status"], record["resources"]["ranks"]) == ("done", 1)
    assert list(tmp_path.glob("results/annotation/spheroid/images/*"))
    assert "Nothing to be done" in run([*command, "--dry-run"]).stdout


def test_workflow__goes_on_after_a_stop(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "mdr-epistasis"
    code = write_code("mdr_epistasis", hold=1)
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    models = "results/epistasis/hipster/models.tsv"
    command = make_command(tmp_path, models, words=MORE_TASKS)
    out = (tmp_path / models).parent
    partial = out.parent / "hipster.partial"

    stopped = subprocess.Popen(
        command, env=os.environ | {"PATH": path}, start_new_session=True
    )
    wait_for(lambda: any(partial.glob("ledger/*.npz")) or stopped.poll() is not None)
    os.killpg(stopped.pid, signal.SIGTERM)
    assert stopped.wait(timeout=PATIENCE_S) != 0
    wait_for(lambda: is_free(partial))  # the ranks may outlive Snakemake
    assert not list(out.glob("*"))

    done = run(command)
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path, "epistasis/hipster")["attempt"] == 2
    words = [str(COHORT / "Hipster.vcf.bgz"), *LABELS, *MORE_TASKS.split()]
    assert main(["run", *words, "--out", str(tmp_path / "once"), "--quiet"]) == 0
    assert_same(out, tmp_path / "once")


def test_workflow__refuses_a_config_of_other_words(tmp_path):
    command = make_command(tmp_path)
    words = {"genotypes": ["cohort.bed"], "option": "--folds 5"}
    (tmp_path / "own.yaml").write_text(json.dumps({"epistasis": {"hipster": words}}))
    done = run(command)
    assert done.returncode != 0
    assert "'option' was unexpected" in done.stderr
