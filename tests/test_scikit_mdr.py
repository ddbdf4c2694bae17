"""Equality with scikit-mdr, model by model and fold by fold, where definitions agree.

They do without missing genotypes: a tied cell is high risk, a cell that training does
not show is low risk, and the threshold is cases / controls of the training data.
"""

import gzip
from pathlib import Path

import h5py
import numpy as np
import numpy.testing as npt
import pytest
from mdr import MDRClassifier
from sklearn.metrics import balanced_accuracy_score

from hpc_connector.learner.mdr.folds import make_folds
from mdr_epistasis.program import main

DATA = Path(__file__).parent / "data"
TWO_WAY = "gametes_2way_20snps_1600/GAMETES_Epistasis_2-Way_20atts_0.4H_EDM-1_1.tsv.gz"
THREE_WAY = "gametes_3way_60snps_2000/g3_h0.20_maf0.3.txt.gz"
FOLDS, SEED = 4, 11


def read_table(path):
    """Return genotypes (individuals, variants) and classes."""
    with gzip.open(path, "rt") as stream:
        table = np.loadtxt(stream, np.int64, delimiter="\t", skiprows=1)
    return table[:, :-1], table[:, -1]


@pytest.mark.parametrize(("name", "order"), [(TWO_WAY, 2), (THREE_WAY, 3)])
def test_run__agrees_with_scikit_mdr(name, order, tmp_path):
    genotypes, is_case = read_table(DATA / name)
    options = f"--order {order} --folds {FOLDS} --seed {SEED} --top 12 --min-maf 0"
    out = ["--out", str(tmp_path / "out"), "--quiet"]
    assert main(["run", str(DATA / name), *options.split(), *out]) == 0
    with h5py.File(tmp_path / "out" / "results.h5") as file:
        models = {key: value[:] for key, value in file["models"].items()}
    fold = make_folds(is_case, FOLDS, np.random.default_rng(SEED))
    for m, variants in enumerate(models["variant"]):
        chosen = genotypes[:, variants]
        whole = MDRClassifier().fit(chosen, is_case).predict(chosen)
        npt.assert_allclose(
            models["balanced_accuracy"][m], balanced_accuracy_score(is_case, whole)
        )
        for f in range(FOLDS):
            mdr = MDRClassifier().fit(chosen[fold != f], is_case[fold != f])
            for part, inside in (("train", fold != f), ("test", fold == f)):
                expected = balanced_accuracy_score(
                    is_case[inside], mdr.predict(chosen[inside])
                )
                found = models[f"fold_{part}_balanced_accuracy"][m, f]
                npt.assert_allclose(found, expected)
