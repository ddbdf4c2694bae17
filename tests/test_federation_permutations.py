"""Labels that each site shuffles of its own: the maxima are those of one cohort."""

import json
import subprocess
from dataclasses import replace

import h5py
import numpy as np
import numpy.testing as npt
import pytest

from conftest import require
from federations import draw_parts, draw_trial, federate, make_study, search_pooled
from hpc_connector.errors import BadInput
from hpc_connector.federation.folds import hash_folds, shuffle_within
from hpc_connector.federation.study import HUB, read_study
from hpc_connector.learner.mdr.bitplanes import make_arrangement
from hub_programs import OUTPUTS, Parties, kill_at
from mdr_epistasis.federated.plan import make_plan
from pooled_cohorts import save_bed, save_study
from programs import PATIENCE_S
from test_federation_program import federate as search_by_ranks
from test_federation_program import make_study as copy_golden


def shuffle_slowly(study, parts, permutation):
    """Return the parts under the labels of a permutation, a site after another."""
    shuffled = []
    for site, (genotypes, is_case, fold) in enumerate(parts):
        rng = np.random.default_rng([study.seed, permutation, site])
        labels = rng.permutation(is_case)
        folds = np.full(len(fold), -1)
        start = 0
        for label in (1, 0):  # by turns, as long as a fold has a place left
            left = np.bincount(fold[is_case == label], minlength=study.folds)
            members = list(rng.permutation(np.flatnonzero(labels == label)))
            turn = start
            start += len(members)
            while members:
                if left[turn % study.folds]:
                    folds[members.pop(0)] = turn % study.folds
                    left[turn % study.folds] -= 1
                turn += 1
        shuffled.append((genotypes, labels, folds))
    return shuffled


def find_slowly(study, parts):
    """Return the best statistic of the pooled cohort under each permutation."""
    one, maxima = replace(study, top=1, permutations=0), []
    for permutation in range(1, study.permutations + 1):
        shuffled = shuffle_slowly(study, parts, permutation)
        maxima.append(search_pooled(one, shuffled)[0].key[0, 0])
    return maxima


@pytest.mark.parametrize("seed", range(3))
def test_shuffle_within__keeps_the_sizes_of_groups(seed):
    study, parts = draw_trial(seed)
    for permutation in (1, 2, 3):
        slow = shuffle_slowly(study, parts, permutation)
        for site, (_, is_case, fold) in enumerate(parts):
            size = make_arrangement(is_case, fold, study.folds).group_size
            about = is_case, size, study.seed, permutation, site
            labels, folds = shuffle_within(*about)
            npt.assert_array_equal(labels, slow[site][1])
            npt.assert_array_equal(folds, slow[site][2])
            again = make_arrangement(labels, folds, study.folds).group_size
            npt.assert_array_equal(again, size)


@pytest.mark.parametrize("hub", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_find_maxima__are_those_of_the_pooled_cohort(seed, hub):
    study, parts = draw_trial(seed)
    study = replace(study, permutations=3, seed=seed)
    outcomes = federate(study, parts, hub=hub)
    scorer = outcomes[-1 if hub else 0]
    npt.assert_array_equal(scorer.maxima, find_slowly(study, parts))
    for outcome in outcomes:
        assert outcome is scorer or outcome.maxima is None
        places = [(stage, block) for stage, block, _ in outcome.sent]
        assert len(set(places)) == len(places)  # no mask is of two blocks


def test_find_maxima__holds_most_pairs_back():
    rng = np.random.default_rng(3)
    about = {"missing": 0.0, "folds": 10, "mode": "dealt"}
    parts = draw_parts(rng, [300, 400, 300], 100, **about)
    about = {"cvc": "exact", "min_maf": 0.0, "permutations": 2}
    study = make_study(3, **about)
    outcome = federate(study, parts)[0]
    assert outcome.kept.by_folds  # of the models, for consistency
    n = sum(n.size for _, block, n in outcome.sent if block >= 1 << 44)
    assert n < 2 * (100 * 80 + 5_400 * 8 * 2)  # not 5,400 pairs of 80 numbers each
    npt.assert_array_equal(outcome.maxima, find_slowly(study, parts))


SALT = "of permutations"
STUDY = f"""
[study]
name = "shuffled"
salt = "{SALT}"
folds = 4
fold_mode = "hash"
top = 5
permutations = 7
seed = 11
min_maf = 0.0
max_missing = 1.0
[variants]
reference = "list.bim"
[release]
least_site = 1
least_class = 1
least_total = 1
"""


def save_sites(folder):
    """Write three sites and their study; return it, and their parts in order of ids."""
    rng = np.random.default_rng(8)
    about = {"missing": 0.02, "folds": 4, "mode": "hash"}
    names, parts = ("b", "a", "c"), draw_parts(rng, [90, 120, 70], 20, **about)
    variants = [("1", f"v{v}", 10 + v, "A", "G") for v in range(20)]
    for k, (genotypes, is_case, fold) in enumerate(parts):
        name = names[k]
        own = [f"{name}{i}" for i in range(len(is_case))]
        fold[:] = hash_folds(SALT, own, 4)
        save_bed(folder, name, genotypes, is_case, own, variants)
        order = np.argsort(own)
        parts[k] = genotypes[:, order], is_case[order], fold[order]
    (folder / "list.bim").write_text((folder / "a.bim").read_text())
    return save_study(folder, names, STUDY), parts


def test_federate__says_p_values_within_sites(tmp_path):
    path, parts = save_sites(tmp_path)
    command = [require("mpirun"), "-n", "3", "mdr-epistasis", "federate", str(path)]
    command += ["--genotypes", f"{tmp_path}/{{site}}.bed", "--out", f"{tmp_path}/out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    maxima = np.array(find_slowly(read_study(path), parts))
    with h5py.File(tmp_path / "out" / "results.h5") as file:
        models = {name: column[:] for name, column in file["models"].items()}
        assert file.attrs["permutation_test"] == "labels within sites"
        assert "permutations" not in file  # maxima are not let out
    statistic = models["test_balanced_accuracy"]
    p = [(1 + (maxima >= one).sum()) / 8 for one in statistic]
    npt.assert_array_equal(models["p_value_within_sites"], p)
    assert "p_value" not in models
    rows = (tmp_path / "out" / "models.tsv").read_text().splitlines()
    head = rows[0].split("\t")
    assert "p_value" not in head
    assert [
        float(r.split("\t")[head.index("p_value_within_sites")]) for r in rows[1:]
    ] == p
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Of 7 searches with shuffled labels within sites" in page
    assert "7 permutations of the labels" in page
    record = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert record["federation"]["permutations"] == 7
    plan = make_plan(read_study(path), 20, 0)
    for site in record["federation"]["sites"]:
        assert 0.3 < site["bytes"] / plan["bytes_a_site"]["with_missing"] < 1.5


def test_make_plan__counts_permutations():
    study = make_study(3, cvc="none")
    plain = make_plan(study, 10_000, 0)["bytes_a_site"]
    some = make_plan(replace(study, permutations=100), 10_000, 0)
    for kind, n_bytes in some["bytes_a_site"].items():
        assert n_bytes == plain[kind] + some["of_which_permutations"][kind]
        assert 50 * plain[kind] < n_bytes < 101 * plain[kind]


@pytest.mark.parametrize(
    "given", ["permutations = -1", "permutations = true", "seed = 0.5"]
)
def test_read_study__refuses_permutations_that_cannot_be(tmp_path, given):
    path, _ = save_sites(tmp_path)
    name = given.split()[0]
    old = {"permutations": "permutations = 7", "seed": "seed = 11"}[name]
    path.write_text(path.read_text().replace(old, given))
    with pytest.raises(BadInput, match=f"study.{name}: .*: expected a whole number"):
        read_study(path)


def test_federate__with_a_hub_goes_on_within_the_permutations(tmp_path):
    settings = 'cvc = "none"\ntop = 5\npermutations = 2\nseed = 3\nmin_maf = 0.2'
    parties = Parties(tmp_path, settings=settings)
    try:
        for one in (HUB, *parties.sites):
            program = kill_at(one, "add", 9) if one == "site2" else None
            parties.start(one, program=program)
        assert parties.wait("site2") == {"site2": -9}
        parties.start("site2", "--resume")
        codes = parties.wait()
        assert set(codes.values()) == {0}, [parties.say(one) for one in codes]
        found = parties.read_results()
    finally:
        parties.end()
    study = copy_golden(tmp_path / "ranks", "three_sites_dealt", settings)
    done = search_by_ranks(study, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert found == [(tmp_path / "out" / name).read_bytes() for name in OUTPUTS]
    assert b"p_value_within_sites" in found[0]
