"""Folds by hash may lack a class: they are left out of means, as in the pooled run."""

import subprocess

import h5py
import numpy as np
import numpy.testing as npt
import pytest

from conftest import require
from federations import draw_parts, federate, make_study, search_pooled
from hpc_connector.federation.folds import hash_folds
from hpc_connector.federation.stages import PAIRS
from pooled_cohorts import save_bed, save_study
from programs import PATIENCE_S

SALT = "of few"
STUDY = f"""
[study]
name = "few"
salt = "{SALT}"
folds = 10
fold_mode = "hash"
min_maf = 0.0
max_missing = 1.0
[variants]
reference = "list.bim"
[release]
least_site = 1
least_class = 1
least_total = 1
"""


def draw_few(seed, folds, sizes):
    """Return parts of few cases, so that some folds lack a class."""
    rng = np.random.default_rng(seed)
    about = {"missing": 0.05, "folds": folds, "mode": "hash"}
    parts = draw_parts(rng, sizes, 12, **about)
    for _, is_case, _ in parts:
        is_case[:] = rng.random(len(is_case)) < 0.2
        is_case[:2] = 1, 0
    return parts


def list_lacking(parts, folds):
    """Return which fold lacks which class, in all parts together."""
    is_case, fold = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    return [
        f"fold {f} has no {said}"
        for label, said in ((1, "cases"), (0, "controls"))
        for f in range(folds)
        if not ((is_case == label) & (fold == f)).any()
    ]


@pytest.mark.parametrize("rank_by", ["test", "train", "whole"])
@pytest.mark.parametrize("seed", range(4))
def test_search_pairs__leaves_folds_without_a_class_out_as_the_pooled_run(
    seed, rank_by
):
    folds, top = 8, 20
    parts = draw_few(seed, folds, [9, 14, 11])
    lacking = list_lacking(parts, folds)
    assert lacking
    for cvc in ("exact", "none"):
        about = {"rank_by": rank_by, "cvc": cvc, "min_maf": 0.0, "max_missing": 1.0}
        study = make_study(3, folds=folds, fold_mode="hash", top=top, **about)
        best, columns = search_pooled(study, parts)
        outcomes = federate(study, parts)
        npt.assert_array_equal(outcomes[0].best.model[:top], best.model[:top])
        rows = slice(None) if cvc == "exact" else slice(top)
        for name, column in columns.items():
            if cvc == "exact" or name not in ("cv_consistency", "is_best"):
                found = outcomes[0].columns[name][rows]
                npt.assert_array_equal(found, column[rows], name)
        for outcome in outcomes:  # every site is told, before pairs are sent
            said = [note.split(":")[0] for note in outcome.kept.notes]
            assert sorted(said) == sorted(lacking)


def test_search_pairs__sends_all_by_folds_where_one_lacks_a_class():
    parts = draw_few(0, 8, [9, 14, 11])
    about = {"cvc": "none", "min_maf": 0.0, "max_missing": 1.0}
    outcome = federate(make_study(3, folds=8, **about), parts)[0]
    assert outcome.kept.by_folds  # no bound holds
    assert not any(stage == PAIRS for stage, _, _ in outcome.sent)


def test_federate__of_few_cases_is_the_search_of_the_pooled_cohort(tmp_path):
    names, parts = ("a", "b", "c"), draw_few(1, 10, [40, 52, 33])
    variants = [("1", f"v{v}", 10 + v, "A", "G") for v in range(12)]
    for name, (genotypes, is_case, fold) in zip(names, parts, strict=True):
        own = [f"{name}{k}" for k in range(len(is_case))]
        fold[:] = hash_folds(SALT, own, 10)
        is_case[fold == 3], is_case[fold == 7] = 0, 1
        save_bed(tmp_path, name, genotypes, is_case, own, variants)
    lacking = list_lacking(parts, 10)
    assert {"fold 3 has no cases", "fold 7 has no controls"} <= set(lacking)
    rows = [f"{c}\t{v}\t0\t{p}\t{a}\t{b}\n" for c, v, p, a, b in variants]
    (tmp_path / "list.bim").write_text("".join(rows))
    study = save_study(tmp_path, names, STUDY)
    command = [require("mpirun"), "-n", "3", "mdr-epistasis", "federate", str(study)]
    command += ["--genotypes", f"{tmp_path}/{{site}}.bed", "--out", f"{tmp_path}/out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    for note in lacking:
        assert f"{note}: it is left out of the mean" in done.stderr
    about = {"fold_mode": "hash", "min_maf": 0.0, "max_missing": 1.0}
    _, columns = search_pooled(make_study(3, **about), parts)
    with h5py.File(tmp_path / "out" / "results.h5") as file:
        for name, column in file["models"].items():
            npt.assert_array_equal(column[:], columns[name], name)
        assert np.isnan(file["models/fold_test_balanced_accuracy"][:]).any()
