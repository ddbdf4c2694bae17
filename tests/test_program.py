"""The program as users run it: results, restarts, and bad input."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import naive
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import inspect_sample, read_sample
from hpc_connector.manifest import read_manifest
from mdr_epistasis import tasks as tasks_module
from mdr_epistasis.cohort.folds import deal_folds
from mdr_epistasis.program import main
from programs import PATIENCE_S, assert_same, wait_for, write_code

DATA = Path(__file__).parent / "data"
HIPSTER = DATA / "hipster_1000genomes_vcf"
COHORT = [str(HIPSTER / "Hipster.vcf.bgz"), "--labels", str(HIPSTER / "Hipster.tsv")]
FIXED = ["--folds", "5", "--top", "200", "--permutations", "3", "--quiet"]


def read_models(out):
    with open(out / "models.tsv") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def get_pair(model):
    return {model["variant_1"], model["variant_2"]}


@pytest.fixture(scope="session")
def reference(simulated, tmp_path_factory):
    """Return the results of the small cohort, alone, in one piece."""
    out = tmp_path_factory.mktemp("reference") / "out"
    assert search(simulated, out) == 0
    return out


def search(cohort, out, *options):
    return main(["run", f"{cohort}.bed", "--out", str(out), *FIXED, *options])


def test_run__finds_the_planted_pairs_of_real_genotypes(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", *COHORT, "--out", str(out), "--json"]) == 0
    models = read_models(out)
    planted = [{"rs2218065", "rs4864809"}, {"rs1363387", "rs4410790"}]
    assert [get_pair(m) for m in models[:2]] == planted
    assert float(models[0]["balanced_accuracy"]) == pytest.approx(0.617412, abs=1e-6)
    assert float(models[1]["balanced_accuracy"]) == pytest.approx(0.627796, abs=1e-6)
    assert [m["is_best"] for m in models[:2]] == ["0", "1"]
    assert models[1]["cv_consistency"] == "10"
    summary = json.loads(capsys.readouterr().out)
    assert set(summary["best"]) == planted[1]
    record = read_manifest(out)
    assert record["status"] == "done"
    assert record["cohort"]["individuals"] == 2504
    assert record["search"]["models"] == 506 * 505 // 2


def test_run__without_cross_validation(tmp_path):
    out = tmp_path / "out"
    assert main(["run", *COHORT, "--out", str(out), "--folds", "1", "--quiet"]) == 0
    models = read_models(out)
    assert get_pair(models[0]) == {"rs1363387", "rs4410790"}
    assert float(models[2]["balanced_accuracy"]) == pytest.approx(0.565895, abs=1e-6)
    assert models[0]["test_balanced_accuracy"] == "NA"


def test_run__models_agree_with_the_ranking(reference):
    with h5py.File(reference / "results.h5") as file:
        test = file["models/test_balanced_accuracy"][:]
        train = file["models/train_balanced_accuracy"][:]
        rank = file["models/rank"][:]
    top = rank > 0
    order = np.lexsort((-train[top], -test[top]))
    assert (np.diff(test[top][order]) <= 0).all()
    assert (test[top] == test[top][order]).all()


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_run__same_bytes_on_any_number_of_ranks(simulated, reference, tmp_path, ranks):
    out = tmp_path / "out"
    program = ["mdr-epistasis", "run", f"{simulated}.bed", "--out", str(out)]
    subprocess.run(
        ["mpirun", "-n", str(ranks), *program, *FIXED], check=True, timeout=PATIENCE_S
    )
    assert_same(out, reference)


def test_run__same_bytes_on_two_nodes(simulated, reference, tmp_path):
    out = tmp_path / "out"
    program = ["mdr-epistasis", "run", f"{simulated}.bed", "--out", str(out), *FIXED]
    apart = os.environ | {"MPIR_CVAR_NOLOCAL": "1"}  # as if on a node each
    launch = ["mpirun", "-n", "2", *program]
    subprocess.run(launch, check=True, timeout=PATIENCE_S, env=apart)
    assert read_manifest(out)["resources"]["nodes"] == 2
    assert_same(out, reference)


def test_run__same_bytes_with_threads(simulated, reference, tmp_path):
    assert search(simulated, tmp_path / "out", "--threads", "3") == 0
    assert_same(tmp_path / "out", reference)


def test_run__same_bytes_without_vector_instructions(simulated, reference, tmp_path):
    plain = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}
    plain["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
    program = ["mdr-epistasis", "run", f"{simulated}.bed", *FIXED]
    out = ["--out", str(tmp_path / "out")]
    subprocess.run([*program, *out], env=os.environ | plain, check=True)
    assert_same(tmp_path / "out", reference)


def test_run__same_bytes_for_any_tile(simulated, reference, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks_module, "TILE_BLOCKS", {2: (1, 3)})
    monkeypatch.setattr(tasks_module, "PERMUTED_BLOCKS", 2)
    assert search(simulated, tmp_path / "out") == 0
    assert_same(tmp_path / "out", reference)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL])
@pytest.mark.parametrize("after_s", [0.05, 0.3])
def test_run__same_bytes_after_a_stop(
    simulated, reference, tmp_path, number, after_s, monkeypatch
):
    out = tmp_path / "out"
    slow = (
        "import time; from mdr_epistasis import tasks; "
        "tasks.TILE_BLOCKS = {2: (1, 2)}; tasks.PERMUTED_BLOCKS = 2; "
        "bind = tasks.learner.bind_search; slow = lambda kernel: "
        "lambda *known: (time.sleep(0.1), kernel(*known))[1]; "
        "tasks.learner.bind_search = lambda *known: slow(bind(*known)); "
    )
    code = write_code("mdr_epistasis", hold=8, more=slow)
    command = ["run", f"{simulated}.bed", "--out", str(out), *FIXED]
    process = subprocess.Popen([sys.executable, "-c", code, *command])
    wait_for(lambda: list(out.glob("ledger/*.npz")) or process.poll() is not None)
    time.sleep(after_s)
    process.send_signal(number)
    code = process.wait(timeout=PATIENCE_S)
    assert code == (-9 if number == signal.SIGKILL else 75)
    assert not (out / "models.tsv").exists()
    monkeypatch.setattr(tasks_module, "TILE_BLOCKS", {2: (1, 2)})
    monkeypatch.setattr(tasks_module, "PERMUTED_BLOCKS", 2)
    assert search(simulated, out, "--resume") == 0
    assert_same(out, reference)


def test_run__stores_the_error_of_every_pair(simulated, tmp_path):
    out = tmp_path / "out"
    assert search(simulated, out, "--all-models") == 0
    with h5py.File(out / "results.h5") as file:
        errors = file["all_models/error"][:]
        variant = file["models/variant"][:]
        expected = file["models/test_error"][:]
        n = len(file["variants/id"])
    assert errors.shape == (n, n)
    assert (np.isfinite(errors) == np.triu(np.ones((n, n), bool), 1)).all()
    np.testing.assert_allclose(errors[tuple(variant.T)], expected, rtol=1e-6)


def test_run__finds_a_planted_triple(tmp_path):
    prefix, out = tmp_path / "cohort", tmp_path / "out"
    options = "--variants 40 --individuals 600 --order 3 --heritability 0.3 --maf 0.4"
    assert main(["simulate", "--out", str(prefix), *options.split(), "--pure"]) == 0
    assert main(["run", f"{prefix}.bed", "--out", str(out), "--order", "3"]) == 0
    truth = json.loads(Path(f"{prefix}.truth.json").read_text())
    best = next(m for m in read_models(out) if m["is_best"] == "1")
    assert {best[f"variant_{k}"] for k in (1, 2, 3)} == {
        v["id"] for v in truth["planted"]
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["missing.vcf", "--out", "OUT"], "No such file"),
        ([COHORT[0], "--out", "OUT"], "carries no labels"),
        ([*COHORT, "--out", "OUT", "--folds", "0"], "expected 1 or more"),
        ([*COHORT, "--out", "OUT", "--folds", "2000"], "for 2000 folds"),
        ([*COHORT, "--out", "OUT", "--min-maf", "1"], "no variant is left"),
        ([*COHORT, "--out", "OUT", "--label-column", "x"], "no column 'x'"),
        ([*COHORT, "--out", "OUT", "--config", "none.toml"], "none.toml"),
        ([*COHORT], "--out"),
    ],
)
def test_run__bad_input_is_one_line_and_exit_code_2(tmp_path, options, message):
    options = [str(tmp_path / "out") if o == "OUT" else o for o in options]
    done = subprocess.run(
        ["mdr-epistasis", "run", *options, "--quiet"], capture_output=True, text=True
    )
    assert done.returncode == 2
    *_, line = done.stderr.splitlines()
    assert message in line
    assert "Traceback" not in done.stderr


def test_run__bad_input_ends_all_ranks(tmp_path):
    command = ["mpirun", "-n", "3", "mdr-epistasis", "run", "missing.vcf", "--out"]
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 2
    assert "missing.vcf: cannot be read" in done.stderr


def test_run__refuses_a_folder_that_holds_another_run(simulated, reference, capsys):
    before = (reference / "models.tsv").read_bytes()
    assert search(simulated, reference) == 2
    assert "is not empty" in capsys.readouterr().err
    assert (reference / "models.tsv").read_bytes() == before


def test_run__refuses_to_resume_with_other_parameters(simulated, reference, capsys):
    assert search(simulated, reference, "--resume", "--seed", "7") == 2
    assert "seed was 42 and is 7" in capsys.readouterr().err


def test_run__options_from_a_file(simulated, reference, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text('folds = 5\ntop = 200\npermutations = 3\nmissing = "exclude"\n')
    options = ["--config", str(config), "--out", str(tmp_path / "out"), "--quiet"]
    assert main(["run", f"{simulated}.bed", *options]) == 0
    assert_same(tmp_path / "out", reference)


def test_run__unknown_option_in_a_file(simulated, tmp_path, capsys):
    config = tmp_path / "run.toml"
    config.write_text("fold = 5\n")
    options = ["--config", str(config), "--out", str(tmp_path / "out")]
    assert main(["run", f"{simulated}.bed", *options]) == 2
    assert "unknown option 'fold'" in capsys.readouterr().err


def test_run__a_folder_that_cannot_be_written(tmp_path):
    if os.geteuid() == 0:
        (tmp_path / "file").touch()
        out = tmp_path / "file" / "out"
    else:
        tmp_path.chmod(0o500)
        out = tmp_path / "out"
    done = subprocess.run(
        ["mdr-epistasis", "run", *COHORT, "--out", str(out)],
        capture_output=True,
        text=True,
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


def test_run__all_models_agree_with_the_oracle_in_another_place(tmp_path):
    prefix, out = tmp_path / "cohort", tmp_path / "out"
    options = "--variants 2000 --individuals 100 --heritability 0.2 --maf 0.3"
    main(["simulate", "--out", str(prefix), *options.split(), "--missing-rate", "0.01"])
    options = ["--permutations", "0", "--all-models", "--max-missing", "1"]
    assert search(prefix, out, *options) == 0
    out.rename(tmp_path / "moved")
    file = inspect_sample(f"{prefix}.bed", ReadOptions())
    blocks = [block.genotypes for block in read_sample(file, 0, 1)]
    genotypes = np.concatenate(blocks).astype(np.int8)
    is_case = np.array(file.phenotypes) == "2"
    fold = deal_folds(is_case.astype(np.int8), 5, 42)
    chance = np.random.default_rng(1)
    with h5py.File(tmp_path / "moved" / "results.h5") as results:
        for i in chance.integers(0, 1990, 10):
            row = results["all_models/error"][i]
            assert (np.isfinite(row) == (np.arange(2000) > i)).all()
            for j in chance.integers(i + 1, 2000, 5):
                test, *_ = naive.mdr(genotypes[[i, j]], is_case, fold)
                assert row[j] == pytest.approx(1 - float(test), abs=1e-6)


def test_run__all_models_are_never_in_memory_at_once(tmp_path):
    prefix = tmp_path / "cohort"
    options = "--variants 6000 --individuals 100 --heritability 0.2 --maf 0.3"
    assert main(["simulate", "--out", str(prefix), *options.split()]) == 0
    peak_bytes = []
    for name, options in ("without", []), ("with", ["--all-models"]):
        command = ["mdr-epistasis", "run", f"{prefix}.bed", "--out", tmp_path / name]
        subprocess.run([*command, "--folds", "1", *options], check=True)
        record = read_manifest(tmp_path / name)
        peak_bytes.append(record["resources"]["max_rss_bytes"])
    assert peak_bytes[1] - peak_bytes[0] < 6000**2 * 4 / 3
