"""Masks, folds, studies, variants and rules of release of a search over sites."""

import base64
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federations import GOLDEN, draw_parts, federate, make_study
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.federation.folds import deal_folds, hash_folds
from hpc_connector.federation.masks import (
    cut_parts,
    get_keys,
    make_run,
    mask_parts,
    sum_blocks,
)
from hpc_connector.federation.release import hide_cells, make_tables, use_budget
from hpc_connector.federation.site import check_site, check_total
from hpc_connector.federation.study import read_study
from hpc_connector.federation.transport import get_type
from hpc_connector.federation.variants import (
    BOTH,
    ELSEWHERE,
    EXCHANGED,
    OTHER_ALLELES,
    PALINDROMIC,
    REPEATED,
    SAME,
    STRAND,
    UNSURE,
    check_build,
    check_frequencies,
    harmonise,
    read_reference,
)
from hpc_connector.loader.genotypes.sample_file import TEXT, Variants
from mdr_epistasis.federated.plan import make_plan

STUDY = """
[study]
name = "golden"
salt = "hpc_connector test public three_sites_dealt"

[variants]
reference = "site1.bim"

[[site]]
name = "site1"

[[site]]
name = "site2"

[[site]]
name = "site3"
"""


def lines(path):
    return path.read_text().splitlines()


def read_masks():
    return json.loads((GOLDEN / "masks.json").read_text())


def add_masks(numbers, keys, mine, stage, block):
    """Mask a block in place."""
    parts = cut_parts(numbers)
    numbers[:] = mask_parts(parts, keys, mine, stage, block, np.empty_like(numbers))


@pytest.mark.parametrize("case", range(3))
def test_mask_parts__makes_the_golden_blocks(case):
    golden = read_masks()
    told, run = golden["v1"][case], bytes.fromhex(golden["run"])
    publics = {name: bytes.fromhex(key) for name, key in golden["public"].items()}
    dtype = np.dtype(f"u{told['w'] // 8}")
    blocks = []
    for name, private in golden["private"].items():
        key = X25519PrivateKey.from_private_bytes(bytes.fromhex(private))
        block = np.array(golden["tables"][name], dtype)
        keys = get_keys(key, name, publics, run)
        add_masks(block, keys, name, told["stage"], told["block"])
        assert block.tolist() == told["masked"][name]
        blocks.append(block)
    assert sum_blocks(blocks).tolist() == told["sum"]


def test_mask_parts__go_on_beyond_a_piece_of_the_stream():
    keys = {"b": bytes(32)}
    whole = np.zeros(200_003, np.uint16)
    add_masks(whole, keys, "a", 1, 7)
    start = np.zeros(70_000, np.uint16)
    add_masks(start, keys, "a", 1, 7)
    npt.assert_array_equal(whole[:70_000], start)
    assert len(np.unique(whole)) > 60_000
    other = np.zeros(200_003, np.uint16)
    add_masks(other, {"a": bytes(32)}, "b", 1, 7)
    assert not (whole + other).any()


def test_make_run__differs_by_attempt_nonce_and_study():
    nonces = {"a": bytes(32), "b": bytes(31) + b"1"}
    runs = [
        make_run(bytes(32), 1, nonces),
        make_run(bytes(32), 2, nonces),
        make_run(bytes(31) + b"1", 1, nonces),
        make_run(bytes(32), 1, nonces | {"a": bytes(31) + b"2"}),
    ]
    assert len(set(runs)) == 4
    assert make_run(bytes(32), 1, dict(reversed(nonces.items()))) == runs[0]


@pytest.mark.parametrize("name", ["three_sites_dealt", "four_sites_hash"])
def test_folds__are_the_golden_ones(name):
    folder = GOLDEN / name
    truth = json.loads((folder / "truth.json").read_text())
    want = dict(line.split() for line in lines(folder / "folds.tsv"))
    people = {}
    for path in folder.glob("*.fam"):
        rows = [line.split() for line in lines(path)]
        is_case = np.array([int(row[5]) - 1 for row in rows])
        people[path.stem] = [row[1] for row in rows], is_case
    sizes = {
        site: (int(is_case.sum()), int((1 - is_case).sum()))
        for site, (_, is_case) in people.items()
    }
    salt, k = truth["salt"], truth["folds"]
    for site, (ids, is_case) in people.items():
        if truth["fold_mode"] == "hash":
            found = hash_folds(salt, ids, k)
        else:
            found = deal_folds(salt, ids, is_case, k, site, sizes)
        assert [int(want[one]) for one in ids] == found.tolist()


def save_study(folder, text=STUDY):
    (folder / "site1.bim").write_text("1 rs1 0 5 A G\n1 rs2 0 9 C T\n")
    path = folder / "STUDY.toml"
    path.write_text(text)
    return path


def test_read_study__has_defaults_and_an_identity(tmp_path):
    study = read_study(save_study(tmp_path))
    assert study.names == ("site1", "site2", "site3")
    assert (study.folds, study.fold_mode, study.top) == (10, "dealt", 1000)
    assert study.reference == tmp_path / "site1.bim"
    other = read_study(save_study(tmp_path, STUDY + "\n"))
    assert study.sha256 != other.sha256
    assert study.get_publics() is None
    assert [study.is_exact(n) for n in (20_000, 20_001)] == [True, False]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('[[site]]\nname = "site3"', "", "2 sites: expected 3 or more"),
        ('name = "site3"', 'name = "site2"', "two sites are named site2"),
        ('salt = "h', 'toppings = 1\nsalt = "h', "study.toppings: unknown; expected"),
        ('salt = "h', 'top = 1001\nsalt = "h', "1001 models: a study lets out 1000"),
        ('salt = "h', 'order = 3\nsalt = "h', "study.order: 3: expected one of 2"),
        ('salt = "h', 'all_models = true\nsalt = "h', "all models are not let out"),
        ('salt = "h', 'folds = true\nsalt = "h', "True: expected a whole number"),
        ('reference = "site1.bim"', "", "expected variants.reference"),
        ("[variants]", "[variantes]", "unknown table .variantes."),
        ('name = "site1"', 'name = "a/b"', "expected letters"),
        ('name = "site1"', 'name = "site1"\nmask_public = "AA"', "32 bytes in base64"),
        ("[[site]]", "[release]\nleast_cell = 1\n[[site]]", "a whole number, 2 or"),
        ("[study]", "[study", "STUDY.toml"),
    ],
)
def test_read_study__refuses_in_a_line(tmp_path, old, new, said):
    assert old in STUDY
    with pytest.raises(BadInput, match=said):
        read_study(save_study(tmp_path, STUDY.replace(old, new, 1)))


def test_get_publics__are_of_all_sites_or_of_none(tmp_path):
    key = base64.b64encode(bytes(32)).decode()
    text = STUDY.replace('"site1"\n', f'"site1"\nmask_public = "{key}"\n', 1)
    text = text.replace("reference = ", "reference = ", 1)
    with pytest.raises(BadInput, match="site2 has no mask_public"):
        read_study(save_study(tmp_path, text)).get_publics()


def make_variants(rows):
    """Return columns of (chromosome, position, counted, other)."""
    chromosome, position, counted, other = zip(*rows, strict=True)
    texts = [np.array(c, TEXT) for c in (chromosome, counted, other)]
    ids = np.array([f"v{k}" for k in range(len(rows))], TEXT)
    return Variants(ids, texts[0], np.array(position), texts[1], texts[2])


LIST = (
    "1\ta\t0\t10\tA\tG\n1\tb\t0\t20\tA\tC\n2\tc\t0\t10\tA\tT\n2\td\t0\t30\tCA\tC\n"
    "X\te\t0\t40\tG\tA\n"
)


def test_harmonise__finds_variants_by_any_of_their_names(tmp_path):
    (tmp_path / "list.bim").write_text(LIST)
    reference = read_reference(tmp_path / "list.bim", "drop")
    rows = [
        ("chr1", 10, "A", "G", 0, False, SAME),
        ("1", 20, "C", "A", 1, True, EXCHANGED),
        ("1", 10, "G", "A", -1, False, REPEATED),
        ("2", 10, "A", "T", -1, False, PALINDROMIC),
        ("02", 30, "CAT", "CT", 3, False, SAME),
        ("23", 40, "T", "C", 4, True, BOTH),
        ("1", 20, "A", "G", -1, False, OTHER_ALLELES),
        ("3", 20, "A", "G", -1, False, ELSEWHERE),
    ]
    cases = Counter()
    variants = make_variants([row[:4] for row in rows])
    found = harmonise(reference, variants, np.full(len(rows), 0.3), set(), cases)
    assert found.row.tolist() == [row[4] for row in rows]
    assert found.is_exchanged.tolist() == [row[5] for row in rows]
    assert cases == Counter(row[6] for row in rows)
    other = make_variants([("1", 10, "T", "C"), ("1", 20, "G", "T")])
    found = harmonise(reference, other, np.array([0.3, 0.3]), set(), cases)
    assert found.row.tolist() == [0, 1]
    assert found.is_exchanged.tolist() == [False, True]
    assert (cases[STRAND], cases[BOTH]) == (1, 2)


VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.mark.parametrize(
    ("alleles", "frequency", "row", "is_exchanged", "case"),
    [
        (("A", "T"), 0.2, 0, False, SAME),
        (("A", "T"), 0.8, 0, True, BOTH),
        (("T", "A"), 0.8, 0, True, EXCHANGED),
        (("T", "A"), 0.2, 0, False, STRAND),
        (("A", "T"), 0.45, -1, False, UNSURE),
    ],
)
def test_harmonise__tells_the_strand_by_frequencies_if_the_study_says_so(
    tmp_path, alleles, frequency, row, is_exchanged, case
):
    path = tmp_path / "list.vcf"
    path.write_text(f"{VCF}1\t5\tp\tT\tA\t.\t.\tDP=3;AF=0.25\n")
    reference = read_reference(path, "frequency")
    cases = Counter()
    variants = make_variants([("1", 5, *alleles)])
    found = harmonise(reference, variants, np.array([frequency]), set(), cases)
    assert (found.row[0], found.is_exchanged[0]) == (row, is_exchanged)
    assert cases == {case: 1}


def test_read_reference__refuses_what_it_cannot_use(tmp_path):
    path = tmp_path / "list.bim"
    path.write_text("1\ta\t0\t10\tA\tG\n1\tb\t0\t10\tG\tA\n")
    with pytest.raises(BadInput, match="b is the variant of a again"):
        read_reference(path, "drop")
    path.write_text(LIST)
    with pytest.raises(BadInput, match="has no frequencies"):
        read_reference(path, "frequency")
    path.write_text("1 a b c d e f g\n")
    with pytest.raises(BadInput, match="line 1: expected the six columns"):
        read_reference(path, "drop")
    with pytest.raises(BadInput, match="expected the reference list"):
        read_reference(tmp_path / "none.bim", "drop")


def test_check_build__believes_the_contigs(tmp_path):
    path = tmp_path / "x.vcf"
    contig = "##contig=<ID=chr1,length=249250621>\n"
    path.write_text(VCF.replace("#CHROM", f"{contig}#CHROM", 1))
    check_build(str(path), None, "GRCh37")
    with pytest.raises(BadInput, match="build GRCh37, and the study of GRCh38"):
        check_build(str(path), "GRCh38", "GRCh38")
    with pytest.raises(BadInput, match="positions are not lifted over"):
        check_build("cohort.bed", "GRCh37", "GRCh38")
    check_build("cohort.bed", None, "GRCh38")


def test_check_frequencies__refuses_those_of_another_allele():
    listed = np.full(200, 0.2)
    here = listed + 0.1
    assert check_frequencies(listed, here) == pytest.approx(0.1)
    here[:3] = 0.8
    with pytest.raises(BadInput, match="3 of 200 variants"):
        check_frequencies(listed, here)
    assert check_frequencies(np.full(3, np.nan), here[:3]) is None


@pytest.mark.parametrize(
    ("sizes", "said"),
    [((50, 49), "99 individuals"), ((29, 90), "29 cases"), ((90, 29), "29 controls")],
)
def test_check_site__refuses_a_small_one(sizes, said):
    study = make_study(3)
    check_site(study, "site0", (50, 50))
    with pytest.raises(BadInput, match=f"site site0 has {said}"):
        check_site(study, "site0", sizes)


def test_check_total__refuses_few_individuals():
    check_total(make_study(3), (250, 250))
    with pytest.raises(BadInput, match="499 individuals in all"):
        check_total(make_study(3), (250, 249))
    with pytest.raises(BadInput, match="9 cases for 10 folds"):
        check_total(make_study(3), (9, 900))


def test_use_budget__refuses_another_cohort_and_other_settings(tmp_path):
    path, study = tmp_path / "records" / "queries.json", make_study(3)
    assert use_budget(path, study, "c" * 64, "site a") == (1, 1)
    assert use_budget(path, study, "c" * 64, "site a") == (1, 1)  # the same answer
    with pytest.raises(BadInput, match=r"not that of the last query.*0{12}"):
        use_budget(path, study, "d" * 64, "site a")
    other = replace(study, sha256="1" * 64, folds=5)
    with pytest.raises(BadInput, match=r"budget of 1 query .*asked was .*folds 10"):
        use_budget(path, other, "c" * 64, "site a")
    two = replace(other, release=replace(study.release, most_queries=2))
    assert use_budget(path, two, "c" * 64, "site a") == (2, 2)
    path.write_text("{}")
    with pytest.raises(BadInput, match="not a budget"):
        use_budget(path, study, "c" * 64, "site a")


def test_hide_cells__hides_all_small_ones():
    rng = np.random.default_rng(1)
    for _ in range(300):
        n = int(rng.integers(3, 5))
        counts = rng.integers(0, rng.integers(5, 60), (n, n))
        high_risk = rng.random((n, n)) < 0.5
        hidden = hide_cells(counts, high_risk, 10)
        assert hidden[counts < 10].all()
    assert not hide_cells(np.full((3, 3), 10), np.eye(3) > 0, 10).any()


def test_make_tables__shows_no_small_cell():
    cases = np.array([[3, 50, 20, 40, 60, 30, 12, 15, 11]])
    controls = np.full((1, 9), 25)
    high_risk = np.array([[False, True, False, True, True, True, False, False, False]])
    table, n_hidden = make_tables(cases, controls, high_risk, 10)
    rows = [
        dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)
    ]
    assert [row["class"] for row in rows] == ["cases", "controls"]
    assert rows[0]["0/0"] == "<10"
    shown = list(rows[0].values())[2:]
    assert shown.count("hidden") == n_hidden - 1 >= 3
    assert list(rows[1].values())[2:] == ["25"] * 9


def test_get_type__holds_a_count_of_all():
    assert get_type(65_535) is np.uint16
    assert get_type(65_536) is np.uint32


def test_make_plan__is_of_what_is_sent():
    study = make_study(3, cvc="none")
    ten = make_plan(study, 10_000, 0)
    assert ten["bytes_a_site"]["complete"] < 1e9
    assert ten["bytes_a_site"]["with_missing"] < 5e9
    hundred = make_plan(study, 100_000, 0)
    assert 80e9 < hundred["bytes_a_site"]["complete"] < 100e9
    assert 0.1 < hundred["hours_at_1_gbit_a_site"]["complete"] < 0.3
    exact = make_plan(make_study(3), 1000, 0)
    assert 80e6 < exact["bytes_a_site"]["complete"] < 85e6
    assert exact["pairs_by_folds"] == "all"
    many = make_plan(study, 10_000, 65_536)
    assert many["bits"] == 32
    assert ten["from_65536"]["bytes_a_site"] == many["bytes_a_site"]
    assert "from_65536" not in many | make_plan(study, 10_000, 65_535)


@pytest.mark.parametrize(
    ("missing", "top", "case", "n"),
    [(0.0, 10, "complete", 1000), (0.0, 1000, "complete", 1000), (0.02, 100, "", 300)],
)
def test_make_plan__is_a_little_more_than_what_is_counted(missing, top, case, n):
    rng = np.random.default_rng(1)
    about = {"folds": 10, "mode": "dealt", "missing": 0.0}
    parts = draw_parts(rng, [700, 700, 600], n, **about)
    for genotypes, _, _ in parts:
        genotypes[rng.random(genotypes.shape) < missing] = -1
    study = make_study(3, cvc="none", top=top)
    sent = federate(study, parts)[0].counts
    n_bytes = sum(count for name, count in sent.items() if name.endswith("bytes"))
    plan = make_plan(study, n)["bytes_a_site"]
    assert n_bytes <= plan[case or "at_most"] < 1.5 * n_bytes


def test_invite__gives_each_site_its_key_and_the_same_study(tmp_path, capsys):
    path, out = save_study(tmp_path), tmp_path / "sites"
    assert main(["federate", "invite", str(path), "--out", str(out)]) == 0
    made = [Path(line) for line in capsys.readouterr().out.split()]
    assert made == [out / name / "mask.sec" for name in ("site1", "site2", "site3")]
    texts = {(out / name / "STUDY.toml").read_text() for name in ("site1", "site2")}
    assert len(texts) == 1
    study = read_study(out / "site3" / "STUDY.toml")
    assert len(study.get_publics()) == 3
    assert study.reference.exists()
    assert main(["federate", "invite", str(path), "--out", str(out)]) == 2


def test_check__prints_each_case(tmp_path, capsys):
    folder = GOLDEN / "three_sites_dealt"
    (tmp_path / "site1.bim").write_text((folder / "site1.bim").read_text())
    (tmp_path / "STUDY.toml").write_text(STUDY)
    words = ["federate", "check", str(tmp_path / "STUDY.toml"), "--site", "site2"]
    words += ["--genotypes", str(folder / "site2.bed")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "20 as listed\n20 exchanged\n" in said
    assert "553 individuals; 40 variants in the list" in said
    assert main([*words, "--build", "GRCh37"]) == 2
    assert "not lifted over" in capsys.readouterr().err
    words[4] = "site9"
    assert main(words) == 2
