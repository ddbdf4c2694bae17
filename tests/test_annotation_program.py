"""metabolite-annotation as users run it: METASPACE's rows, restarts, bad input."""

import csv
import gzip
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import numpy.testing as npt
import pytest

from imzml import plant_lipids, write_imzml
from metabolite_annotation import tasks
from metabolite_annotation.output import parts
from metabolite_annotation.program import main
from programs import (
    assert_same,
    check_end_after,
    get_end,
    make_command,
    wait_for,
)

DATA = Path(__file__).parent / "data"
GOLDEN = DATA / "metaspace_golden"
TINY = DATA / "imzml/Untreated_3_434_tiny.imzML"
SHARED = Path(__file__).parents[2] / "shared/data/metabolomics"
LIKE_METASPACE = ["--instrument", "FTICR", "--isocalc-sigma", "0.000619"]
LIKE_METASPACE += ["--fdr", "1", "--quiet"]
COLUMNS = ("chaos", "spatial", "spectral", "msm", "mz_err_abs", "mz_err_rel", "fdr")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep isotope patterns away from the user's."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """Return the formulas of CoreMetabolome v3 as a database."""
    path = tmp_path_factory.mktemp("database") / "core_metabolome_v3.tsv"
    with gzip.open(GOLDEN / "core_metabolome_v3_formulas.txt.gz", "rt") as stream:
        formulas = stream.read().split()
    rows = [f"{k}\tmolecule {k}\t{f}\n" for k, f in enumerate(formulas)]
    path.write_text("id\tname\tformula\n" + "".join(rows))
    return path


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Return a small dataset with known ions, and its database."""
    return plant_lipids(tmp_path_factory.mktemp("simulated"))


@pytest.fixture(scope="session")
def reference(simulated, tmp_path_factory):
    """Return the results of the small dataset, alone, in one piece."""
    out = tmp_path_factory.mktemp("reference") / "out"
    assert annotate(simulated, out) == 0
    return out


def annotate(dataset, out, *options):
    imzml, database = map(str, dataset)
    given = ["--database", database, "--out", str(out), *LIKE_METASPACE, *options]
    return main(["run", imzml, *given])


def make_resume(ranks, dataset, out, *options):
    imzml, database = dataset
    given = ["--database", database, "--out", out, *LIKE_METASPACE, *options]
    return make_command(ranks, imzml, *given, program="metabolite_annotation")


def read_annotations(out):
    with open(out / "annotations.tsv") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def read_golden(name):
    """Return a golden table of METASPACE's, from here or from the shared data."""
    if (path := GOLDEN / f"{name}.csv.gz").exists():
        with gzip.open(path, "rt") as stream:
            return list(csv.DictReader(stream))
    with open(SHARED / f"golden/{name}.csv") as stream:
        return list(csv.DictReader(stream))


def list_golden():
    """Return data with golden results; two are larger than a repository should hold."""
    known = [("sim_small", 3), ("sim_small", 1), ("sim_bench", 3)]
    there = [(SHARED / f"synthetic/{n}.imzML", n, v) for n, v in known]
    tiny = [(TINY, "untreated_tiny", version) for version in (3, 1)]
    return tiny + [dataset for dataset in there if dataset[0].exists()]


@pytest.mark.parametrize(("imzml", "name", "version"), list_golden())
def test_run__gives_the_rows_of_metaspace(imzml, name, version, database, tmp_path):
    out = tmp_path / "out"
    options = ["--analysis-version", str(version)]
    assert annotate((imzml, database), out, *options) == 0
    known = read_golden(f"{name}_cm3_v{version}_annotations")
    found = {(row["formula"], row["adduct"]): row for row in read_annotations(out)}
    assert found.keys() == {(row["formula"], row["modifier"]) for row in known}
    tolerances = {"spatial": 2e-4 if version == 3 else 1e-6, "spectral": 1e-6}
    for row in known:
        ours = found[row["formula"], row["modifier"]]
        for column in COLUMNS:
            tolerance = tolerances.get(column, 2e-4 if column == "msm" else 1e-8)
            assert abs(float(ours[column]) - float(row[column])) < tolerance, column
        assert float(ours["total_intensity"]) == pytest.approx(
            float(row["total_iso_ints_0"]), rel=1e-6
        )


def test_run__images_are_those_of_the_scores(reference):
    rows = read_annotations(reference)
    assert len(rows) > 10
    with h5py.File(reference / "results.h5") as file:
        start, total = file["images/indptr"][:], file["images/total_intensity"][:, 0]
        image = file["annotations/image"][:]
        value = file["images/intensity"][:]
        sums = [value[a:b].sum() for a, b in itertools.pairwise(start)]
        n_pixels = np.diff(start).reshape(-1, 4)[image, 0]
        assert file.attrs["width"] == 18
        assert file.attrs["height"] == 15
    npt.assert_allclose(np.reshape(sums, (-1, 4))[:, 0], total, rtol=1e-5)
    npt.assert_array_equal(n_pixels, [int(row["n_pixels"]) for row in rows])
    for row, first in zip(rows, total[image], strict=True):
        assert float(row["total_intensity"]) == pytest.approx(first, rel=1e-6)
    names = {path.name for path in (reference / "images").iterdir()}
    assert {f"{row['formula']}_{row['adduct']}_1.png" for row in rows} <= names


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_run__same_bytes_on_any_number_of_ranks(simulated, reference, tmp_path, ranks):
    command = make_resume(ranks, simulated, tmp_path / "out")
    code, lines, _ = get_end(command)
    assert (code, lines) == (0, [])
    assert_same(tmp_path / "out", reference)


def test_run__same_bytes_on_two_nodes(simulated, reference, tmp_path, monkeypatch):
    monkeypatch.setenv("MPIR_CVAR_NOLOCAL", "1")  # as if on a node each
    code, _, _ = get_end(make_resume(2, simulated, tmp_path / "out"))
    assert code == 0
    record = json.loads((tmp_path / "out/manifest.json").read_text())
    assert record["resources"]["nodes"] == 2
    assert_same(tmp_path / "out", reference)


@pytest.mark.parametrize("options", [["--threads", "3"], ["--pattern-cache", "own"]])
def test_run__same_bytes_with_other_options(
    simulated, reference, tmp_path, monkeypatch, options
):
    monkeypatch.chdir(tmp_path)
    for attempt in "ab":  # the second finds the patterns of the first
        assert annotate(simulated, tmp_path / attempt, *options) == 0
        assert_same(tmp_path / attempt, reference)


@pytest.mark.parametrize("n_values", [1, 5_000, 1 << 30])
def test_run__same_images_however_many_at_a_time(
    simulated, reference, tmp_path, monkeypatch, n_values
):
    monkeypatch.setattr(parts, "FEWEST_TASKS", 1)
    monkeypatch.setattr(parts, "MOST_VALUES", n_values)
    assert annotate(simulated, tmp_path / "out") == 0
    assert_same(tmp_path / "out", reference)


@pytest.mark.parametrize("n_ions", [1, 7, 100_000])
def test_run__same_bytes_for_any_segment(
    simulated, reference, tmp_path, monkeypatch, n_ions
):
    monkeypatch.setattr(tasks, "IONS_A_TASK", n_ions)
    monkeypatch.setattr(tasks, "MOST_TASKS", 10**9)
    assert annotate(simulated, tmp_path / "out") == 0
    assert_same(tmp_path / "out", reference)


@pytest.mark.parametrize(("ranks", "seed"), [(1, 1), (1, 2), (2, 3)])
def test_run__same_bytes_after_signals_at_random_moments(
    simulated, reference, tmp_path, ranks, seed
):
    out, chance, codes = tmp_path / "out", random.Random(seed), []
    command = make_resume(ranks, simulated, out)
    while not codes or codes[-1] != 0:
        number = chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
        delay_s = chance.uniform(0.2, 2.5 * (1 + len(codes) / 4))
        code = check_end_after([*command, "--resume"], delay_s, number, out)
        codes.append(code)
        assert len(codes) < 30, codes
    assert json.loads((out / "manifest.json").read_text())["status"] == "done"
    assert_same(out, reference)


def test_run__goes_on_where_it_was_killed(simulated, reference, tmp_path):
    out = tmp_path / "out"
    command = make_resume(1, simulated, out)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: list(out.glob("ledger/*.npz")) or process.poll() is not None)
    process.kill()
    process.wait()
    before = out / "ledger"
    if before.exists() and (ledgers := list(before.glob("*.npz"))):
        ledgers[0].write_bytes(ledgers[0].read_bytes()[:100])  # damaged, too
    code, _, _ = get_end([*command, "--resume"])
    assert code == 0
    assert_same(out, reference)


def test_run__replaces_a_damaged_cache(simulated, reference, tmp_path):
    cache = tmp_path / "cache"
    options = ["--pattern-cache", str(cache)]
    assert annotate(simulated, tmp_path / "a", *options) == 0
    (kept,) = cache.iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[: len(content) // 2])
    assert annotate(simulated, tmp_path / "b", *options) == 0
    assert_same(tmp_path / "b", reference)
    assert kept.read_bytes() == content
    assert [path.name for path in cache.iterdir()] == [kept.name]


def test_run__needs_no_cache(simulated, reference, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    options = ["--pattern-cache", str(tmp_path / "file/cache")]
    assert annotate(simulated, tmp_path / "out", *options) == 0
    assert "isotope patterns are not kept" in caplog.text
    assert_same(tmp_path / "out", reference)


def test_run__prints_one_object(simulated, tmp_path, capsys):
    assert annotate(simulated, tmp_path / "out", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["annotations"] == len(read_annotations(tmp_path / "out"))
    assert summary["top"][0]["fdr"] < 0.2


def test_run__again_has_nothing_to_do(simulated, reference, caplog):
    before = (reference / "manifest.json").read_bytes()
    assert annotate(simulated, reference, "--resume") == 0
    assert (reference / "manifest.json").read_bytes() == before


def test_report__is_written_again(simulated, reference, tmp_path, capsys):
    shutil.copytree(reference, tmp_path / "out")
    (tmp_path / "out/report.html").unlink()
    assert main(["report", str(tmp_path / "out")]) == 0
    found = (tmp_path / "out/report.html").read_bytes()
    assert found == (reference / "report.html").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--adducts", "+Xx"], "'Xx' is no element"),
        (["--adducts", "H"], "'H': expected parts such as"),
        (["--neutral-losses", "-h2o"], "expected parts|no element"),
        (["--chem-mods", "+C("], "bracket"),
        (["--polarity", "negative"], "acquired in positive mode"),
        (["--adducts", "-H,+Cl"], "-H, +Cl make no positive ions"),
        (["--adducts", "[M+2H]2+"], "2 charges"),
        (["--adducts", ""], "expected one or more"),
        (["--decoys", "90"], "90 decoys of 80"),
        (["--resolving-power", "0"], "resolving_power|above 0|invalid"),
        (["--ppm", "-1"], "above 0"),
        (["--export", "pdf"], "expected some of csv, anndata"),
        (["--model", str(TINY), "--analysis-version", "1"], "needs --analysis"),
        (["--fdr", "2"], "expected 0..1"),
    ],
)
def test_run__bad_options_are_one_line(simulated, tmp_path, options, message):
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "metabolite_annotation",
        "run",
        *map(str, simulated),
    ]
    command.insert(-1, "--database")
    done = subprocess.run(
        [*command, "--out", str(out), *options], capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert any(part in line for part in message.split("|")), line
    assert not (out / "annotations.tsv").exists()


def spoil_database(dataset, folder):
    (folder / "lipids.tsv").write_text("id\tname\tformula\na\tA\tCxx\nb\tB\tC.H\n")
    return "2 bad rows of 2: line 2"


def spoil_ibd(dataset, folder):
    ibd = folder / "small.ibd"
    ibd.write_bytes(ibd.read_bytes()[:-500])
    return "is cut: spectrum 270 (x 18, y 15) ends at byte"


def spoil_uuid(dataset, folder):
    ibd = folder / "small.ibd"
    ibd.write_bytes(b"0123456789abcdef" + ibd.read_bytes()[16:])
    return "has the UUID"


def spoil_checksum(dataset, folder):
    ibd = folder / "small.ibd"
    ibd.write_bytes(ibd.read_bytes()[:-1] + b"\0")
    return "is damaged: its sha1"


def remove_ibd(dataset, folder):
    (folder / "small.ibd").unlink()
    return "small.ibd is missing"


def spoil_xml(dataset, folder):
    imzml = folder / "small.imzML"
    imzml.write_text(imzml.read_text().replace("</scan>", "</skan>", 1))
    return "line 14: malformed XML"


def lose_place(dataset, folder):
    imzml = folder / "small.imzML"
    name = '1" name="position y'
    imzml.write_text(imzml.read_text().replace(name, '9" name="place', 1))
    return "spectrum 1 has no coordinates"


SPOILERS = [spoil_database, spoil_ibd, spoil_uuid, spoil_checksum, remove_ibd]
SPOILERS += [spoil_xml, lose_place]


@pytest.mark.parametrize(
    ("spoil", "ranks"), [*((spoil, 1) for spoil in SPOILERS), (spoil_ibd, 2)]
)
def test_run__bad_files_are_one_line(simulated, tmp_path, spoil, ranks):
    for path in (*simulated, simulated[0].with_suffix(".ibd")):
        shutil.copy(path, tmp_path)
    expected = spoil(simulated, tmp_path)
    copies = [tmp_path / path.name for path in simulated]
    code, lines, _ = get_end(make_resume(ranks, copies, tmp_path / "out"))
    assert code == 2
    assert len(lines) == 1
    assert expected in lines[0]
    assert not (tmp_path / "out/annotations.tsv").exists()


def test_run__refuses_a_folder_that_holds_another_run(simulated, reference, capsys):
    assert annotate(simulated, reference) == 2
    assert "is not empty" in capsys.readouterr().err
    assert annotate(simulated, reference, "--resume", "--ppm", "5") == 2
    assert "ppm was 3.0 and is 5.0" in capsys.readouterr().err


def test_run__two_databases_and_what_they_share(simulated, tmp_path):
    imzml, lipids = simulated
    other = tmp_path / "some.tsv"
    other.write_text("".join(lipids.read_text().splitlines(keepends=True)[:30]))
    out = tmp_path / "out"
    given = ["--database", str(lipids), str(other), "--out", str(out)]
    assert main(["run", str(imzml), *given, *LIKE_METASPACE]) == 0
    rows = read_annotations(out)
    assert {row["database"] for row in rows} == {"lipids", "some"}
    alone = tmp_path / "alone"
    assert annotate((imzml, lipids), alone) == 0
    kept = ["fdr", "msm", "formula", "adduct"]
    of_first = [[r[k] for k in kept] for r in rows if r["database"] == "lipids"]
    assert of_first == [[r[k] for k in kept] for r in read_annotations(alone)]


def test_run__adducts_and_losses_that_begin_with_a_minus(simulated, tmp_path):
    options = ["--adducts", "-NH3+H,[M-H]+", "--neutral-losses", "-H2O"]
    out = tmp_path / "out"
    assert annotate(simulated, out, *options) == 0
    search = json.loads((out / "manifest.json").read_text())["search"]
    assert search["adducts"] == ["-NH3+H", "-H"]


def test_run__options_from_a_file(simulated, reference, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text(
        'adducts = ["+H", "+Na", "+K"]\ninstrument = "FTICR"\nfdr = 1\n'
        f'isocalc-sigma = 0.000619\ndatabase = ["{simulated[1]}"]\n'
    )
    out = tmp_path / "out"
    given = ["--config", str(config), "--out", str(out), "--quiet"]
    assert main(["run", str(simulated[0]), *given]) == 0
    assert_same(out, reference)


@pytest.mark.parametrize("ranks", [1, 3])
def test_run__from_a_copy_on_each_node(simulated, reference, tmp_path, ranks):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    options = ["--scratch", "$PLACE/scratch"]
    command = make_resume(ranks, simulated, tmp_path / "out", *options)
    environment = os.environ | {"PLACE": str(tmp_path)}
    assert get_end(command, env=environment)[:2] == (0, [])
    assert_same(tmp_path / "out", reference)
    assert not list(scratch.iterdir())


def test_run__without_the_folder_for_a_copy(simulated, tmp_path, capsys):
    options = ["--scratch", str(tmp_path / "none")]
    assert annotate(simulated, tmp_path / "out", *options) == 2
    assert "none: expected a folder on every node" in capsys.readouterr().err


def test_run__nothing_to_annotate(tmp_path):
    spectra = [(1, 1, [], []), (2, 1, [55.5], [3.0]), (2, 1, [55.5, 55.6], [0, np.nan])]
    write_imzml(tmp_path / "few.imzML", spectra)
    (tmp_path / "db.tsv").write_text("id\tname\tformula\na\tA\tC6H12O6\n")
    out = tmp_path / "out"
    assert annotate((tmp_path / "few.imzML", tmp_path / "db.tsv"), out) == 0
    assert read_annotations(out) == []
    facts = json.loads((out / "manifest.json").read_text())["dataset"]
    assert facts["dropped"]["n_nan"] == facts["dropped"]["n_zero"] == 1
    assert (facts["spectra"], facts["pixels"], facts["empty_spectra"]) == (3, 2, 2)
    assert (out / "report.html").exists()


def test_run__no_peak_at_all(tmp_path, capsys):
    write_imzml(tmp_path / "no.imzML", [(1, 1, [], [])])
    (tmp_path / "db.tsv").write_text("id\tname\tformula\na\tA\tC6H12O6\n")
    assert annotate((tmp_path / "no.imzML", tmp_path / "db.tsv"), tmp_path / "o") == 2
    assert "has no peak" in capsys.readouterr().err
