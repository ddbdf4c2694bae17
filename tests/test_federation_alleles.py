"""Alleles as variants are compared by: bcftools norm is the truth."""

import subprocess
from collections import Counter

import numpy as np
import numpy.testing as npt
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import require
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.federation.alleles import (
    MOVED,
    NO_BASES,
    OTHER_BASES,
    UNMOVED,
    normalise,
    open_sequence,
)
from hpc_connector.federation.site import read_site
from hpc_connector.federation.variants import (
    EXCHANGED,
    OTHER_ORDER,
    REPEATED,
    SAME,
    describe_cases,
    harmonise,
    read_reference,
)
from hpc_connector.loader.genotypes.fasta import open_fasta
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import inspect_sample
from hpc_connector.loader.individuals import Match
from pooled_cohorts import save_bed, save_study
from programs import PATIENCE_S
from test_federation_cohorts import STUDY
from test_federation_parts import make_variants

BASES = st.text("AC", min_size=1, max_size=5)
MOTIFS = st.lists(st.tuples(BASES, st.integers(1, 60)), min_size=1, max_size=4)


def save_fasta(folder, name="r.fa", **contigs):
    """Write a FASTA file with its index; return its path."""
    path = folder / name
    path.write_text("".join(f">{n}\n{bases}\n" for n, bases in contigs.items()))
    pysam.faidx(str(path))
    return str(path)


def norm(folder, fasta, rows):
    """Return what bcftools makes of position, REF and ALT."""
    lines = ["##fileformat=VCFv4.2", "##contig=<ID=1>"]
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    named = [(str(p), str(n), r, a) for n, (p, r, a) in enumerate(rows)]
    lines += ["\t".join(["1", *row, ".", ".", "."]) for row in named]
    path = folder / "x.vcf"
    path.write_text("\n".join(lines) + "\n")
    command = [require("bcftools"), "norm", "--fasta-ref", fasta, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        if not line.startswith("#"):
            _, position, name, ref, alt, *_ = line.split("\t")
            found[int(name)] = int(position), ref, alt
    return [found[n] for n in range(len(rows))]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(motifs=MOTIFS, data=st.data())
def test_normalise__is_bcftools_norm(tmp_path, motifs, data):
    bases = "".join(motif * n for motif, n in motifs)
    starts = st.integers(1, len(bases))
    some = st.tuples(starts, st.integers(1, 8), BASES | st.just("A" * 150))
    drawn = data.draw(st.lists(some, min_size=1, max_size=25))
    rows = []
    for position, n, alt in drawn:
        ref = bases[position - 1 : position - 1 + n]
        # a pure insertion or deletion, or whatever comes
        longer = data.draw(st.sampled_from([alt, ref + alt, ref[0], ref[0] + alt]))
        if longer != ref:
            rows.append((position, ref, longer))
    fasta = save_fasta(tmp_path, **{"1": bases})
    sequence = open_fasta(fasta)
    for row, want in zip(rows, norm(tmp_path, fasta, rows), strict=True):
        position, ref, alt = row
        for one, other in ((alt, ref), (ref, alt)):
            key = normalise(("1", position, one, other), sequence).key
            assert key is not None
            assert key[1] == want[0]
            assert {one: key[2], other: key[3]} == {ref: want[1], alt: want[2]}
        trimmed = normalise(("1", position, alt, ref), None)
        is_indel = len(ref) != len(alt)
        is_same = trimmed.key[1:] == (want[0], want[2], want[1])
        assert is_same or trimmed.said == UNMOVED or not is_indel
        assert not (trimmed.said and is_same and want[0] > 1)


SEQUENCE = "GCAAAAATCGTGTGTGACGGNCAT"


@pytest.mark.parametrize(
    ("key", "want"),
    [
        ((6, "A", "AA"), ((2, "C", "CA"), False, MOVED)),  # a deletion, or an insertion
        ((6, "AAA", "A"), ((2, "CAA", "C"), False, MOVED)),
        ((14, "GTG", "G"), ((9, "CGT", "C"), False, MOVED)),
        ((10, "GTT", "G"), ((10, "GTT", "G"), True, "")),  # an insertion for sure
        ((10, "g", "gtt"), ((10, "G", "GTT"), True, "")),
        ((19, "GG", "G"), ((18, "CG", "C"), False, MOVED)),
        ((20, "GN", "G"), ((20, "GN", "G"), False, "")),
        ((3, "A", "G"), ((3, "A", "G"), True, "")),
        ((3, "AAC", "AAT"), (None, True, OTHER_BASES)),
        ((3, "AAA", "AAT"), ((5, "A", "T"), True, "")),
        ((3, "T", "TT"), (None, True, OTHER_BASES)),
        ((99, "T", "TT"), (None, True, OTHER_BASES)),
        ((3, "<DEL>", "A"), (None, True, NO_BASES)),
        ((3, "*", "A"), (None, True, NO_BASES)),
        ((3, ".", "A"), (None, True, NO_BASES)),
        ((3, "D", "I"), (None, True, NO_BASES)),
        ((3, "A", "A[2:5["), (None, True, NO_BASES)),
        ((3, "A", "0"), (None, True, NO_BASES)),
        ((3, "A", ""), (None, True, NO_BASES)),
    ],
)
def test_normalise__aligns_left_and_leaves_out_what_has_no_bases(tmp_path, key, want):
    sequence = open_fasta(save_fasta(tmp_path, chr1=SEQUENCE))
    found = normalise(("1", *key), sequence)
    key = want[0] and ("1", *want[0])
    assert tuple(found) == (key, *want[1:])


LIST = """##fileformat=VCFv4.2
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO
1	3	snv	A	G	.	.	.
1	5	run	AA	A,AAA,*	.	.	.
1	10	sure	G	GTT	.	.	.
1	12	symbolic	G	<DEL>	.	.	.
1	20	absent	T	TT	.	.	.
"""
ROWS = [
    ("chr1", 3, "A", "G", 0, True, EXCHANGED),
    ("1", 3, "AAAA", "AAAAA", 1, False, SAME),  # a deletion, written elsewhere
    ("1", 7, "AA", "A", 2, False, SAME),  # an insertion
    ("1", 7, "A", "AA", -1, False, REPEATED),
    ("1", 10, "G", "GTT", 3, True, EXCHANGED),
]


def test_harmonise__tells_a_deletion_from_an_insertion(tmp_path):
    (tmp_path / "list.vcf").write_text(LIST)
    sequence = open_sequence(save_fasta(tmp_path, chr1=SEQUENCE), "GRCh38")
    reference = read_reference(tmp_path / "list.vcf", "drop", sequence)
    assert reference.columns.id.tolist()[1:3] == ["run_A", "run_AAA"]
    assert reference.told == {MOVED: 2, NO_BASES: 2, OTHER_BASES: 1}
    cases = Counter()
    variants = make_variants([row[:4] for row in ROWS])
    found = harmonise(reference, variants, np.full(len(ROWS), 0.3), set(), cases)
    assert found.row.tolist() == [row[4] for row in ROWS]
    assert found.is_exchanged.tolist() == [row[5] for row in ROWS]
    assert cases == Counter(row[6] for row in ROWS) + Counter({MOVED: 3})


def test_harmonise__without_a_sequence_says_which_indels_it_cannot_know(tmp_path):
    (tmp_path / "list.vcf").write_text(LIST)
    reference = read_reference(tmp_path / "list.vcf", "drop")
    assert reference.told == {UNMOVED: 3, NO_BASES: 2}
    rows = [("1", 5, "A", "AA"), ("1", 4, "AA", "A"), ("1", 10, "G", "GTT")]
    cases = Counter()
    variants = make_variants(rows)
    found = harmonise(reference, variants, np.full(3, 0.3), set(), cases)
    assert found.row.tolist() == [1, -1, -1]
    want = {SAME: 1, "not in the list": 1, OTHER_ORDER: 1, UNMOVED: 2}
    assert cases == Counter(want)
    assert len(describe_cases(cases)) == len(want)


def test_read_reference__refuses_an_indel_that_is_there_twice(tmp_path):
    rows = "1\ta\t0\t6\tAA\tA\n1\tb\t0\t2\tCA\tC\n"
    (tmp_path / "list.bim").write_text(rows)
    assert len(read_reference(tmp_path / "list.bim", "drop")) == 2
    sequence = open_fasta(save_fasta(tmp_path, chr1=SEQUENCE))
    with pytest.raises(BadInput, match="b is the variant of a again"):
        read_reference(tmp_path / "list.bim", "drop", sequence)


def test_open_sequence__says_what_it_expects(tmp_path):
    path = save_fasta(tmp_path, "x.fa", chrM="ACG", MT="ACC", chr2="AC")
    assert open_fasta(path).fetch("MT", 1, 2) is None  # it is not known which
    assert open_fasta(path).fetch("2", 0, 9) == "AC"
    pysam.tabix_compress(path, f"{path}.gz")
    with pytest.raises(BadInput, match=r"x\.fa\.gz\.fai \(samtools faidx"):
        open_sequence(f"{path}.gz", "GRCh38")
    pysam.faidx(f"{path}.gz")
    assert open_sequence(f"{path}.gz", "GRCh38").fetch("2", 2, 2) == "C"
    with pytest.raises(BadInput, match=r"no\.fa: expected a FASTA file"):
        open_sequence(str(tmp_path / "no.fa"), "GRCh38")
    index = tmp_path / "x.fa.gz.fai"
    index.write_text("chr1\t248956422\t6\t60\t61\n")
    with pytest.raises(BadInput, match="is of build GRCh38: expected GRCh37"):
        open_sequence(f"{path}.gz", "GRCh37")
    index.write_text("no index")
    with pytest.raises(BadInput, match="expected a FASTA file"):
        open_sequence(f"{path}.gz", "GRCh37")


def test_check__says_which_indels_were_moved(tmp_path, capsys):
    names = tuple(f"site{k}" for k in range(3))
    study = save_study(tmp_path, names, STUDY)
    (tmp_path / "list.bim").write_text("1\ta\t0\t7\tA\tAA\n1\tb\t0\t10\tGTT\tG\n")
    rng = np.random.default_rng(1)
    genotypes = rng.integers(0, 3, (2, 40)).astype(np.int8)
    own = [("chr1", "x", 3, "A", "AA"), ("chr1", "y", 10, "G", "GTT")]
    ids = [f"i{k}" for k in range(40)]
    save_bed(tmp_path, "site0", genotypes, np.arange(40) % 2, ids, own)
    words = ["federate", "check", str(study), "--site", "site0", "--genotypes"]
    words.append(str(tmp_path / "site0.bed"))
    assert main([*words, "--fasta", save_fasta(tmp_path, chr1=SEQUENCE)]) == 0
    said = capsys.readouterr().out
    assert "1 as listed\n1 exchanged\n1 indels moved to the left\n0 of" in said
    assert "of the list: 1 indels moved to the left\n" in said
    assert main(words) == 2  # neither is known to be of the list
    said = capsys.readouterr().err
    assert "1 indels, exchanged: each may be a deletion for an insertion" in said


def test_read_site__is_of_the_same_genotypes_however_indels_are_written(tmp_path):
    rng = np.random.default_rng(2)
    genotypes = rng.integers(-1, 3, (4, 50)).astype(np.int8)
    listed = [("1", "a", 2, "C", "CA"), ("1", "b", 2, "CA", "C")]
    listed += [("1", "c", 10, "G", "GTT"), ("1", "d", 9, "CGT", "C")]
    other = [("1", "a", 7, "A", "AA"), ("chr1", "b", 4, "AAA", "AA")]
    # the third is exchanged, which the sequence tells
    other += [("1", "c", 10, "GTTT", "GT"), ("1", "d", 13, "TGT", "T")]
    turned = genotypes.copy()
    turned[2] = np.where(turned[2] < 0, -1, 2 - turned[2])
    ids = [f"i{k}" for k in range(50)]
    about = np.arange(50) % 2, ids
    save_bed(tmp_path, "as_listed", genotypes, *about, listed)
    save_bed(tmp_path, "other", turned[::-1], *about, other[::-1])
    sequence = open_fasta(save_fasta(tmp_path, chr1=SEQUENCE))
    reference = read_reference(tmp_path / "as_listed.bim", "drop", sequence)
    everybody, fold = np.arange(50), np.arange(50) % 5
    match = Match(tuple(ids), about[0].astype(np.int8), [everybody], [])
    codes = []
    for name in ("as_listed", "other"):
        file = inspect_sample(str(tmp_path / f"{name}.bed"), ReadOptions())
        read = read_site([file], match, fold, 5, reference)
        assert read.local.is_present.all()
        codes.append(read.local.in_folds.codes)
    npt.assert_array_equal(*codes)
