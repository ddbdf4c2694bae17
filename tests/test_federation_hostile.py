"""What a search over sites refuses, and what nobody can work out of its tables."""

from dataclasses import replace
from threading import Thread

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federations import make_study
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.federation.joining import check_hellos, make_hello
from hpc_connector.federation.masks import derive_key
from hpc_connector.federation.records import (
    alone,
    has_queried,
    make_folder,
    open_log,
    tell,
)
from hpc_connector.federation.release import check_people, hide_cells, use_budget
from hpc_connector.federation.site import Sizes
from hpc_connector.federation.stages import filter_variants
from hpc_connector.federation.study import read_study
from mdr_epistasis.federated.options import place

STUDY = """
[study]
name = "x"
salt = "y"
[variants]
reference = "list.bim"
[[site]]
name = "a"
[[site]]
name = "b"
[[site]]
name = "c"
"""


def save_study(folder, old="", new="", *, is_listed=True):
    assert old in STUDY
    if is_listed:
        (folder / "list.bim").write_text("1 rs1 0 5 A G\n1 rs2 0 9 C T\n")
    path = folder / "STUDY.toml"
    path.write_text(STUDY.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"study": "0" * 64}, "site b has another study"),
        ({"reference": "0" * 64}, "site b has another list of variants"),
        ({"site": "a"}, "joined: a, a, c; expected a, b, c, once each"),
    ],
)
def test_check_hellos__refuses_sites_that_do_not_fit(tmp_path, changed, said):
    study = read_study(save_study(tmp_path))
    private = X25519PrivateKey.generate()
    hellos = [make_hello(study, name, Sizes(3, 4), private) for name in study.names]
    check_hellos(study, hellos)
    hellos[1] |= changed
    with pytest.raises(BadInput, match=said):
        check_hellos(study, hellos)


KEY = 'mask_public = "BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="\n'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[variants]", '[hub]\nurl = "http://h"\n[variants]', "hub.url: .*https://"),
        ("[variants]", "[hub]\n[variants]", "expected hub.url"),
        ('name = "a"', 'name = "a"\ncertificate = "a.pem"', "one certificate"),
        ('salt = "y"', 'salt = "y"\norder = 2.0', "study.order: 2.0: expected one"),
        ('salt = "y"', 'salt = "y"\nversion = 1.0', "study.version: 1.0: expected"),
        ('salt = "y"', 'salt = "y"\nmin_maf = nan', "study.min_maf: nan: expected"),
        ('salt = "y"', 'salt = "y"\ntie = ["high"]', "study.tie: .*: expected one"),
        (
            'name = "a"\n[[site]]\nname = "b"',
            f'name = "a"\n{KEY}[[site]]\nname = "b"\n{KEY}',
            "two sites have one mask_public",
        ),
    ],
)
def test_read_study__refuses_what_it_would_not_use(tmp_path, old, new, said):
    with pytest.raises(BadInput, match=said):
        read_study(save_study(tmp_path, old, new))


def test_derive_key__refuses_a_key_of_nobody():
    with pytest.raises(BadInput, match="mask_public of site b is nobody's"):
        derive_key(X25519PrivateKey.generate(), "a", bytes(32), "b", bytes(32))


@pytest.mark.parametrize(
    ("old", "new", "is_listed"),
    [
        ('[[site]]\nname = "a"', '[[ site ]]\nname = "a"', True),
        ('name = "a"', '"name" = "a"', True),
        ('reference = "list.bim"', '"reference" = "list.bim"', True),
        ('"list.bim"', '"STUDY.toml"', True),
        ("", "", False),
    ],
)
def test_invite__writes_no_key_that_the_study_would_lack(
    tmp_path, capsys, old, new, is_listed
):
    path, out = save_study(tmp_path, old, new, is_listed=is_listed), tmp_path / "out"
    code = main(["federate", "invite", str(path), "--out", str(out)])
    if code == 0:
        assert read_study(out / "a" / "STUDY.toml").get_publics().keys() == {*"abc"}
        return
    assert "expected" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.sec"))


@pytest.mark.parametrize("text", ["{site.x}", "{site[x]}", "{other}", "{", "{site!z}"])
def test_place__refuses_other_words_in_braces(text):
    with pytest.raises(BadInput, match="expected"):
        place(f"a{text}.bed", "north", 0)


def test_budget__that_is_gone_is_not_a_new_one(tmp_path):
    study, path = make_study(3), tmp_path / "queries.json"
    log = open_log(tmp_path, study, "a")
    assert not has_queried(log)
    use_budget(path, study, "c" * 64, "site a", is_new=not has_queried(log))
    tell(log, study, "a", "query", cohort="c" * 64)
    assert use_budget(path, study, "c" * 64, "a", is_new=not has_queried(log)) == (1, 1)
    path.unlink()
    with pytest.raises(BadInput, match="budget is gone"):
        use_budget(path, study, "d" * 64, "site a", is_new=not has_queried(log))
    log.path.write_text(log.path.read_text().replace("query", "quest"))
    with pytest.raises(BadInput, match="line 1"):
        has_queried(log)


def test_use_budget__of_two_searches_at_once_is_used_once(tmp_path):
    study, path = make_study(3), tmp_path / "queries.json"
    ended = []

    def search(number):
        own = replace(study, sha256=f"{number}" * 64)
        try:
            with alone(tmp_path, study, "a"):
                use_budget(path, own, "c" * 64, "site a")
            ended.append("let")
        except BadInput:
            ended.append("refused")

    threads = [Thread(target=search, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["let", *["refused"] * 7]


def test_check_people__refuses_others_before_anything_is_told(tmp_path):
    study, path = make_study(3), tmp_path / "queries.json"
    check_people(path, study, "p" * 64, "site a")
    use_budget(path, study, "c" * 64, "site a", people="p" * 64)
    check_people(path, study, "p" * 64, "site a")
    with pytest.raises(BadInput, match="not that of the last query"):
        check_people(path, study, "q" * 64, "site a")


def test_make_folder__refuses_what_is_none(tmp_path):
    (tmp_path / "records").write_text("x")
    with pytest.raises(BadInput, match="expected a folder"):
        make_folder(tmp_path / "records")


def test_filter_variants__tells_of_folds_that_lack_a_class():
    counts = np.zeros((3, 6, 4), np.int64)  # cases and controls of three folds
    counts[:, [0, 1, 3, 4, 5], :3] = 5
    study = make_study(3, folds=3, min_maf=0.0)
    kept, _ = filter_variants(study, counts)
    assert kept.notes == ("fold 2 has no cases: it is left out of the mean of folds",)
    assert kept.by_folds


def make_sums(high_risk):
    """Return, as an attacker knows them, the weights of the cells in known sums."""
    sums = []
    for k in range(3):
        for axis in (0, 1):
            line = np.zeros((3, 3), int)
            line.swapaxes(0, axis)[k] = 1
            sums.append(line)
    products = np.array([[i * j for j in range(3)] for i in range(3)])
    return np.array([*sums, high_risk, ~high_risk, products], int).reshape(9, 9)


def is_told(sums, hidden, cell):
    """Return whether the sums leave one number for a cell among those hidden."""
    unknown = sums[:, hidden.ravel()]
    one = (np.flatnonzero(hidden.ravel()) == cell).astype(int)
    rank = np.linalg.matrix_rank
    return bool(rank(unknown) == rank(np.vstack([unknown, one])))


def test_hide_cells__leaves_no_small_cell_that_can_be_worked_out():
    rng = np.random.default_rng(3)
    n_small = n_told = 0
    for _ in range(200):
        counts = rng.integers(2, 60, (3, 3))
        high_risk = rng.random((3, 3)) < 0.5
        hidden = hide_cells(counts, high_risk, 10)
        sums = make_sums(high_risk)
        for cell in np.flatnonzero(counts < 10):
            assert hidden.ravel()[cell]
            n_small += 1
            if is_told(sums, hidden, cell):  # then by the columns of models alone
                assert is_told(sums, np.ones((3, 3), bool), cell)
                n_told += 1
    assert n_small > 200
    assert n_told < n_small / 3
