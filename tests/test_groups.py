"""Folds of groups: nobody is tested by a model that saw a relative."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cohorts import make_linked, save_cohort
from hpc_connector import cli
from hpc_connector.errors import BadInput
from mdr_epistasis import program
from mdr_epistasis.cohort.groups import deal_groups
from mdr_epistasis.inputs import read_inputs
from mdr_epistasis.options import Options

N = 60


@given(st.data(), st.integers(1, 6), st.integers(0, 99))
def test_deal_groups__keeps_them_together(data, n_folds, seed):
    n = data.draw(st.integers(2, 80))
    is_case = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    group = np.array(data.draw(st.lists(st.integers(0, 30), min_size=n, max_size=n)))
    try:
        fold = deal_groups(is_case, group, n_folds, seed)
    except BadInput:
        assume(False)
    for each in set(group.tolist()):
        assert len(set(fold[group == each].tolist())) == 1
    for label in (0, 1):
        assert set(fold[is_case == label].tolist()) == set(range(n_folds))
    npt.assert_array_equal(fold, deal_groups(is_case, group, n_folds, seed))


def test_deal_groups__folds_are_of_like_sizes():
    rng = np.random.default_rng(0)
    group = np.sort(rng.integers(0, 150, 1000))
    is_case = (rng.random(1000) < 0.3).astype(int)
    folds = [deal_groups(is_case, group, 10, seed) for seed in (1, 2)]
    assert (folds[0] != folds[1]).any()
    for fold in folds:
        for label in (0, 1):
            n_of = np.bincount(fold[is_case == label], minlength=10)
            assert n_of.max() - n_of.min() <= 6


@pytest.fixture
def place(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    genotypes = make_linked(rng, 6, N)
    save_cohort(tmp_path / "x", genotypes, [1] * 6, np.arange(N) % 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def deal(*words):
    """Return the fold of each individual by its number, and what was counted."""
    parser, run = program.make_parser()
    argv = ["run", "x.bed", "--out", "out", "--folds", "3", *words]
    found = read_inputs(cli.get_options(Options, cli.parse(parser, run, argv)))
    names = (int(name[1:]) for name in found.match.individuals)
    return dict(zip(names, found.fold.tolist(), strict=True)), found.match.counted


FILES = {
    "of families": lambda i: f"F{i // 2} I{i} 0 0 1 1",
    "as --within": lambda i: f"F{i // 2} I{i} G{i // 2}",
    "of ids": lambda i: f"I{i} {i // 2}",
    "with a header": lambda i: f"{i},I{i},{i // 2}" if i >= 0 else "n,id,site",
    "of FID and IID": lambda i: f"F{i // 2}\tI{i}" if i >= 0 else "#FID\tIID",
}


@pytest.mark.parametrize("kind", FILES)
def test_run__groups_of_a_file(kind, place):
    write = FILES[kind]
    first = -1 if kind in ("with a header", "of FID and IID") else 0
    path = place / ("x.fam" if kind == "of families" else "groups.csv")
    if kind != "of families":
        path.write_text("\n".join(write(i) for i in range(first, N)))
    fold, counted = deal("--groups", path.name)
    assert all(fold[i] == fold[i + 1] for i in range(0, N, 2))
    assert set(fold.values()) == {0, 1, 2}
    assert not counted.get("individuals of --groups have no genotypes")
    assert any(i != k for i, k in zip(deal()[0].values(), fold.values(), strict=True))


WRONG = {
    "two": (
        "\n".join(f"I{i} {i // 30}" for i in range(N)),
        "2 groups have cases, for 3",
    ),
    "one class": ("\n".join(f"I{i} {i % 2}" for i in range(N)), "1 groups have cases"),
    "lacking": ("\n".join(f"I{i} {i}" for i in range(N - 1)), "has no group of 'I59'"),
    "both": ("\n".join(f"I{i % 40} {i}" for i in range(N)), "stands twice, in other"),
    "empty": ("", "groups is empty"),
    "wide": ("\n".join(f"I{i} 1 2 3" for i in range(N)), "which column is the group?"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_run__groups_that_cannot_be(kind, place, capsys):
    text, message = WRONG[kind]
    (place / "groups").write_text(text)
    words = ["run", "x.bed", "--out", "out", "--folds", "3", "--groups", "groups"]
    assert program.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (place / "out").exists()


def test_run__groups_and_a_fold_file(place, capsys):
    (place / "folds").write_text("\n".join(f"I{i} {i // 2 % 3}" for i in range(N)))
    words = [
        "run",
        "x.bed",
        "--out",
        "out",
        "--fold-file",
        "folds",
        "--groups",
        "x.fam",
    ]
    assert program.main(words) == 2
    assert "--groups does not go with --fold-file" in capsys.readouterr().err
