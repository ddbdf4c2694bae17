"""``mdr-epistasis federate`` on ranks of MPI, each a site, and what it lets out."""

import json
import shutil
import subprocess

import h5py
import numpy as np
import numpy.testing as npt
import pytest

from conftest import require
from federations import GOLDEN
from hpc_connector.commands.main import main as operate
from mdr_epistasis.program import main
from programs import PATIENCE_S

SETS = {
    "three_sites_dealt": (3, ""),
    "four_sites_hash": (4, "[release]\nleast_site = 50\nleast_class = 20\n"),
}


def make_study(folder, name, settings="", release=None):
    """Copy a golden set, with a study of it; return the study."""
    n_sites, rules = SETS[name]
    shutil.copytree(GOLDEN / name, folder, dirs_exist_ok=True)
    truth = json.loads((folder / "truth.json").read_text())
    sites = "".join(f'[[site]]\nname = "site{k + 1}"\n' for k in range(n_sites))
    text = f'[study]\nname = "golden"\nsalt = "{truth["salt"]}"\n'
    text += f'fold_mode = "{truth["fold_mode"]}"\n{settings}\n'
    text += f'[variants]\nreference = "site1.bim"\n{release or rules}{sites}'
    path = folder / "STUDY.toml"
    path.write_text(text)
    return path


def federate(study, out, n_sites=3):
    """Run a search on ranks; return how it ended."""
    command = [require("mpirun"), "-n", str(n_sites), "mdr-epistasis", "federate"]
    sites = str(study.parent / "{site}.bed")
    command += [str(study), "--genotypes", sites, "--out", str(out), "--quiet"]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def read_table(path):
    """Return the rows of a table as texts, by column."""
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return {name: column for name, *column in zip(*rows, strict=True)}


@pytest.mark.parametrize("name", SETS)
def test_federate__finds_what_the_pooled_run_found(name, tmp_path):
    study, out = make_study(tmp_path / "sites", name), tmp_path / "out"
    done = federate(study, out, SETS[name][0])
    assert done.returncode == 0, done.stderr
    want = read_table(GOLDEN / name / "pooled_models.tsv")
    found = read_table(out / "models.tsv")
    for column in want:
        assert found[column][: len(want["rank"])] == want[column], column
    with h5py.File(out / "results.h5") as file:
        assert {"cases", "controls"}.isdisjoint(file["models"])
        assert file["models/high_risk"].shape[1] == 9
    record = json.loads((out / "manifest.json").read_text())
    assert record["status"] == "done"
    assert len(record["federation"]["sites"]) == SETS[name][0]
    assert record["command"].startswith("mdr-epistasis federate ")
    page = (out / "report.html").read_text()
    assert "What the sites let out" in page
    assert "masked, " in page


def test_federate__is_the_run_of_the_pooled_files(tmp_path):
    folder, out = tmp_path / "sites", tmp_path / "out"
    name, release = "three_sites_dealt", '[release]\ncolumns = "tables"\n'
    settings = 'top = 30\ncvc = "none"\nmissing = "level"\nmin_maf = 0.2'
    done = federate(make_study(folder, name, settings, release), out)
    assert done.returncode == 0, done.stderr
    pool_sites(folder)
    words = ["run", str(folder / "pooled.vcf"), "--labels", str(folder / "labels.tsv")]
    words += ["--fold-file", str(folder / "folds.tsv"), "--top", "30", "--quiet"]
    words += ["--missing", "level", "--min-maf", "0.2", "--out", str(tmp_path / "one")]
    assert main(words) == 0
    want = read_table(tmp_path / "one" / "models.tsv")
    found = read_table(out / "models.tsv")
    assert set(found.pop("cv_consistency")) == {"NA"}
    for column in found.keys() - {"is_best"}:
        assert found[column] == want[column][:30], column
    with (
        h5py.File(out / "results.h5") as a,
        h5py.File(tmp_path / "one/results.h5") as b,
    ):
        assert (
            a["variants/frequency"][:].tolist() == b["variants/frequency"][:].tolist()
        )
        assert a["variants/id"][:].tolist() == b["variants/id"][:].tolist()
        for column in a["models"].keys() - {"cv_consistency", "is_best"}:
            npt.assert_array_equal(a[f"models/{column}"][:], b[f"models/{column}"][:30])
        cases = b["models/cases"][:30]
    shown = read_table(out / "tables.tsv")
    cells = [shown[f"{i}/{j}"][::2] for i in range(4) for j in range(4)]
    for column, true in zip(cells, cases.T.tolist(), strict=True):
        for text, count in zip(column, true, strict=True):
            assert text in ("<10", "hidden", str(count))
            assert count >= 10 or text == "<10"


def pool_sites(folder):
    """Write the cohort of all sites as a VCF, and its labels."""
    from hpc_connector.loader.genotypes.sample_file import ReadOptions
    from hpc_connector.loader.genotypes.samples import (
        convert_samples,
        inspect_sample,
        read_sample,
    )

    ids, labels, parts, named = [], [], [], []
    for site in ("site1", "site2", "site3"):
        file = inspect_sample(str(folder / f"{site}.bed"), ReadOptions())
        block = convert_samples(read_sample(file))
        is_turned = block.variants.counted == "G"
        genotypes = block.genotypes.copy()
        turned = genotypes[is_turned]
        genotypes[is_turned] = np.where(turned < 0, -1, 2 - turned)
        ids += file.individuals
        labels += file.phenotypes
        parts.append(genotypes)
        named.append(block.variants)
    variants = named[0]
    calls = np.array(["./.", "0/0", "0/1", "1/1"])[np.concatenate(parts, axis=1) + 1]
    head = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    lines = ["##fileformat=VCFv4.2", "\t".join([*head, *ids])]
    for v, row in enumerate(calls.tolist()):
        place = [variants.chromosome[v], str(variants.position[v]), variants.id[v]]
        lines.append("\t".join([*place, "G", "A", ".", ".", ".", "GT", *row]))
    (folder / "pooled.vcf").write_text("\n".join(lines) + "\n")
    rows = [f"{i}\t{int(label) - 1}" for i, label in zip(ids, labels, strict=True)]
    (folder / "labels.tsv").write_text("\n".join(["id\tcase", *rows]) + "\n")


def test_federate__refuses_a_cohort_of_one_person_less(tmp_path, capsys):
    folder = tmp_path / "sites"
    study = make_study(folder, "three_sites_dealt")
    assert federate(study, tmp_path / "one").returncode == 0
    rows = (folder / "site2.fam").read_text().splitlines()
    rows[7] = rows[7][:-1] + "0"  # no label any more
    (folder / "site2.fam").write_text("\n".join(rows) + "\n")
    done = federate(study, tmp_path / "two")
    assert done.returncode == 2
    assert "not that of the last query" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "two").exists()
    assert operate(["federate", "log", str(folder / "records")]) == 0
    said = capsys.readouterr().out
    assert "event refuse" in said
    log = folder / "records" / "golden.site1.log"
    log.write_text(log.read_text().replace("query", "quest", 1))
    assert operate(["federate", "log", str(folder / "records")]) == 2


def test_federate__says_what_it_expects(tmp_path, capsys):
    study = make_study(tmp_path / "sites", "three_sites_dealt")
    words = ["federate", str(study), "--out", str(tmp_path / "out")]
    assert main([*words, "--genotypes", "x.bed"]) == 2
    assert "expected mpirun -n 3, a rank a site" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*words, "--all-models"])
    assert ended.value.code == 2
    assert main([*words, "--plan"]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert plan["pairs"] == 780
    assert main([*words[:2], "--plan", "--individuals", "70000"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["bits"] == 32
    assert not (tmp_path / "out").exists()
