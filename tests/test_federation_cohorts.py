"""Searches over sites as unlike each other as sites are, and the run of one cohort."""

import subprocess

import numpy as np
import numpy.testing as npt
import pytest

from conftest import require
from federations import draw_parts, federate, make_study, search_pooled
from hpc_connector.federation.folds import deal_folds
from mdr_epistasis.program import main
from pooled_cohorts import save_bed, save_study
from programs import PATIENCE_S
from random_sites import assert_same_models, save_trial

TRIALS = (3, 10)  # `python tests/test_federation_cohorts.py 100` tries the first 100
NAMES = ("zeta", "Alpha", "mid")  # not in order
SIZES = (101, 203, 57)
SALT = "any text"
CHROMOSOMES = ("1", "X", "Y", "MT")
ALLELES = (("A", "G"), ("C", "A"), ("T", "G"))
OTHER_STRAND = str.maketrans("ACGT", "TGCA")
STUDY = f"""
[study]
name = "unlike"
salt = "{SALT}"
folds = 4
scorer = "sites"
min_maf = 0.0
max_missing = 1.0
[variants]
reference = "list.bim"
variants = "union"
[release]
least_site = 1
least_class = 1
least_total = 1
"""


def make_sites():
    """Return variants, and of each site its genotypes, who is a case, and ids."""
    rng = np.random.default_rng(7)
    n = 24
    maf = rng.uniform(0.05, 0.5, (n, 1))
    variants = [
        (CHROMOSOMES[v % 4], f"v{v}", 100 + v, *ALLELES[v % 3]) for v in range(n)
    ]
    sites = []
    for k, (name, size) in enumerate(zip(NAMES, SIZES, strict=True)):
        genotypes = rng.binomial(2, maf, (n, size)).astype(np.int8)
        genotypes[(rng.random((n, size)) < 0.03) & (rng.random((n, 1)) < 0.5)] = -1
        genotypes[6] = 2  # of all individuals
        if k == 1:
            genotypes[:4] = [[0], [1], [2], [-1]]  # constant here; none is called
        if k == 2:
            genotypes[4] = genotypes[5]
        is_case = (rng.random(size) < 0.3 + 0.1 * k).astype(int)
        sites.append((genotypes, is_case, [f"{name}{i}" for i in range(size)]))
    return variants, sites


def save_sites(folder, variants, sites):
    """Write each site in its own way: alleles exchanged, strands, an order of rows."""
    for k, (genotypes, is_case, ids) in enumerate(sites):
        own, rows = list(variants), genotypes.copy()
        for v in range(0, len(own) * (k == 1), 2):
            chromosome, name, position, counted, other = own[v]
            own[v] = (f"chr{chromosome}", name, position, other, counted)
            rows[v] = np.where(rows[v] < 0, -1, 2 - rows[v])
        for v in range(0, len(own) * (k == 2), 3):
            chromosome, name, position, *alleles = own[v]
            alleles = [one.translate(OTHER_STRAND) for one in alleles]
            own[v] = (chromosome, name, position, *alleles)
        lacks = {8 + k, 11}  # of which the last is nowhere
        kept = [v for v in range(len(own))[:: -1 if k else 1] if v not in lacks]
        genotypes[list(lacks)] = -1  # as the pooled cohort has them
        save_bed(folder, NAMES[k], rows[kept], is_case, ids, [own[v] for v in kept])


def save_pooled(folder, variants, sites):
    """Write the cohort of all sites, and its folds."""
    genotypes, is_case, ids = zip(*sites, strict=True)
    whole = (
        np.concatenate(genotypes, axis=1),
        np.concatenate(is_case),
        [*ids[0], *ids[1], *ids[2]],
    )
    save_bed(folder, "pooled", *whole, variants)
    (folder / "list.bim").write_text((folder / "pooled.bim").read_text())
    sizes = {
        n: (int(c.sum()), int((1 - c).sum()))
        for n, c in zip(NAMES, is_case, strict=True)
    }
    lines = []
    for name, cases, own in zip(NAMES, is_case, ids, strict=True):
        fold = deal_folds(SALT, own, cases, 4, name, sizes)
        lines += [f"{i}\t{f}\n" for i, f in zip(own, fold, strict=True)]
    (folder / "folds.tsv").write_text("".join(lines))


def test_federate__of_unlike_sites_that_all_see_sums_is_the_pooled_run(tmp_path):
    variants, sites = make_sites()
    save_sites(tmp_path, variants, sites)
    save_pooled(tmp_path, variants, sites)
    study = save_study(tmp_path, NAMES, STUDY)
    done = run_federated(study, NAMES, tmp_path)
    assert done.returncode == 0, done.stderr
    words = ["run", tmp_path / "pooled.bed", "--fold-file", tmp_path / "folds.tsv"]
    words += ["--min-maf", "0", "--max-missing", "1", "--out", tmp_path / "one"]
    assert main([*map(str, words), "--quiet"]) == 0
    tables = [(tmp_path / way / "models.tsv").read_text() for way in ("out", "one")]
    assert tables[0] == tables[1]
    assert_same_models(tmp_path / "out" / "results.h5", tmp_path / "one" / "results.h5")


def run_federated(study, names, folder):
    """Search the files of sites on ranks; return how it ended."""
    command = [require("mpirun"), "-n", str(len(names)), "mdr-epistasis", "federate"]
    command += [str(study), "--genotypes", str(folder / "{site}.bed"), "--quiet"]
    command += ["--out", str(folder / "out")]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def check_trial(folder, seed):
    """Compare a federated search of random files with the run of the pooled cohort."""
    trial = save_trial(folder, seed)
    code = main([*trial.words, "--out", str(folder / "one")])
    done = run_federated(trial.study, trial.names, folder)
    assert done.returncode == code, done.stderr
    if code == 0:
        results = [folder / way / "results.h5" for way in ("out", "one")]
        assert_same_models(*results, is_exact=trial.is_exact)
    else:
        assert "variants kept: " in done.stderr


@pytest.mark.parametrize("seed", TRIALS)
def test_federate__of_random_sites_is_the_pooled_run(seed, tmp_path):
    check_trial(tmp_path, seed)


def test_search_pairs__of_more_than_a_short_integer_holds():
    rng = np.random.default_rng(5)
    about = {"missing": 0.01, "folds": 2, "mode": "dealt"}
    parts = draw_parts(rng, [33_000, 30_000, 3_000], 6, **about)
    for genotypes, _, _ in parts:
        genotypes[0] = 2  # 66,000 of one genotype
    study = make_study(3, top=15, folds=2, min_maf=0.0, max_missing=1.0, cvc="exact")
    best, columns = search_pooled(study, parts)
    outcome = federate(study, parts)[0]
    assert outcome.sent[-1][2].dtype == np.uint32
    npt.assert_array_equal(outcome.best.model[:15], best.model[:15])
    for name, column in columns.items():
        npt.assert_array_equal(outcome.columns[name], column, name)


if __name__ == "__main__":
    import sys
    import tempfile
    from pathlib import Path

    for number in range(int(sys.argv[1])):
        with tempfile.TemporaryDirectory() as place:
            check_trial(Path(place), number)
    print(f"{sys.argv[1]} random studies: as the pooled cohort")
