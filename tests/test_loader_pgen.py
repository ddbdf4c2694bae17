"""Reading PLINK 2 files: VCF of the same records is the truth; plink2 writes them."""

import builtins
import re
import shutil

import numpy as np
import pytest

from formats import call
from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import (
    convert_samples,
    inspect_sample,
    read_sample,
)

HEAD = """##fileformat=VCFv4.2
##contig=<ID=1>
##contig=<ID=X>
##FILTER=<ID=q10,Description="of low quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">
#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b c d
"""
CALLS = """1 10 rs1 A G . PASS . GT 0/0 0/1 1/1 ./.
1 20 . A G,T . PASS . GT 0/2 1/2 2/2 0/1
1 30 . C T . q10 . GT 0/1 0|1 1/1 0/0
1 40 m C . . PASS . GT 0/0 0/0 0/0 0/0
1 50 rs5 CAT C,*,CA . PASS . GT 0/3 1/1 0/2 .
X 60 rs6 C T . PASS . GT 0/1 0/1 1/1 1
"""
DOSAGES = """1 10 rs1 A G . PASS . GT:DS 0/0:0.1 0/1:1.05 1/1:1.95 ./.:.
1 20 rs2 A G . PASS . GT:DS ./.:0.5 0/1:0.9 0/1:1.0999 1/1:1.89
1 30 rs3 A G . PASS . GT 0/0 0/1 1/1 ./.
"""


def write_vcf(path, records):
    path.write_text((HEAD + records).replace(" ", "\t").replace("of\tlow\t", "of low "))
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder with calls and dosages as VCF and as PLINK 2 files."""
    folder = tmp_path_factory.mktemp("pgen")
    for name, records, more in [("c", CALLS, []), ("d", DOSAGES, ["dosage=DS"])]:
        vcf = write_vcf(folder / f"{name}.vcf", records)
        psam = folder / "given.psam"
        psam.write_text("#IID\tSEX\tPHENO1\na\t1\t1\nb\t2\t2\nc\t1\t2\nd\t1\t-9\n")
        words = ["--vcf", vcf, *more, "--psam", str(psam), "--make-pgen"]
        call("plink2", *words, "--out", str(folder / name))
    return folder


@pytest.fixture
def copy(files, tmp_path):
    """Return the .pgen file of calls in a folder of its own, beside its companions."""
    for ending in ("pgen", "pvar", "psam"):
        shutil.copy(files / f"c.{ending}", tmp_path)
    return tmp_path / "c.pgen"


def read(path, n_parts=1, **options):
    """Return rows of variants with their genotypes, in the order of the parts."""
    file = inspect_sample(str(path), ReadOptions(**options))
    blocks = [b for part in range(n_parts) for b in read_sample(file, part, n_parts)]
    block = convert_samples(blocks)
    columns = [column.tolist() for column in vars(block.variants).values()]
    return list(zip(*columns, block.genotypes.tolist(), strict=True))


@pytest.mark.parametrize("pass_only", [False, True])
def test_read__calls_as_of_vcf(files, pass_only):
    expected = read(files / "c.vcf", pass_only=pass_only)
    assert len(expected) == 7 - pass_only
    assert ("1:20:A:T", "1", 20, "T", "A", [1, -1, 2, -1]) in expected
    for n_parts in (1, 3, 8):
        assert read(files / "c.pgen", n_parts, pass_only=pass_only) == expected


@pytest.mark.parametrize("threshold", [0.5, 0.89, 0.9, 0.95])
def test_read__dosages_as_of_vcf(files, threshold):
    options = {"vcf_field": "DS", "imputation_threshold": threshold}
    assert read(files / "d.pgen", **options) == read(files / "d.vcf", **options)


def test_read__calls_beside_dosages(files):
    assert read(files / "d.pgen")[0][5] == [0, 1, 2, -1]


def test_inspect__psam_tells_labels(files):
    file = inspect_sample(str(files / "c"), ReadOptions())
    assert file.individuals == ("a", "b", "c", "d")
    assert file.phenotypes == ("1", "2", "2", "NA")
    assert file.coding == "plink"


PSAMS = {  # forms of one file, and what it names
    "FID and IID": ("#FID\tIID\tSEX\tPHENO1\n", "f\t{0}\t1\t{1}\n", True),
    "IID alone": ("#IID\n", "{0}\n", False),
    "SID": ("#IID\tSID\tSEX\tPHENO1\n", "{0}\t0\t1\t{1}\n", True),
    "comments": ("##x\n#IID\tPHENO1\n", "{0}\t{1}\n", True),
    "as a .fam file": ("", "f {0} 0 0 1 {1}\n", True),
}


@pytest.mark.parametrize("form", PSAMS)
def test_inspect__any_form_of_psam(copy, form):
    header, row, has_labels = PSAMS[form]
    rows = [row.format(name, k) for name, k in zip("abcd", "1212", strict=True)]
    copy.with_suffix(".psam").write_text(header + "".join(rows))
    file = inspect_sample(str(copy), ReadOptions())
    assert file.individuals == ("a", "b", "c", "d")
    assert file.phenotypes == (("1", "2", "1", "2") if has_labels else None)


PVARS = {
    "comments": lambda text: "##one\n##two\n" + text,
    "blanks": lambda text: text.replace("\t", "  "),
    "INFO": lambda text: (
        text.replace("FILTER", "FILTER\tINFO")
        .replace("PASS", "PASS\tx=a,b")
        .replace("q10", "q10\t.")
    ),
    "windows": lambda text: text.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("form", PVARS)
def test_read__any_form_of_pvar(files, copy, form):
    pvar = copy.with_suffix(".pvar")
    text = pvar.read_text()
    pvar.write_text(PVARS[form](text[text.index("#CHROM") :]))
    assert read(copy) == read(files / "c.pgen")


def test_read__pvar_laid_out_as_bim(files, copy):
    pvar = copy.with_suffix(".pvar")
    rows = [line.split() for line in pvar.read_text().splitlines() if line[0] != "#"]
    for cm in ([], ["0"]):
        lines = [
            "\t".join([row[0], row[2], *cm, row[1], row[4], row[3]]) for row in rows
        ]
        pvar.write_text("\n".join(lines) + "\n")
        assert read(copy) == read(files / "c.pgen")


FAULTS = {  # ending of a file, how it is changed, what the message says
    "more individuals": ("psam", lambda d: d + b"e\t1\t1\n", "holds 4 individuals"),
    "fewer individuals": ("psam", lambda d: d[:-8], "names 3"),
    "more variants": ("pvar", lambda d: d + b"1\t9\tr\tA\tC\tPASS\n", "names 7"),
    "one ALT": ("pvar", lambda d: re.sub(rb",[*,A-Z]+", b"", d), "of several ALTs"),
    "no position": ("pvar", lambda d: d.replace(b"\t30\t", b"\tx\t"), "line 3: posit"),
    "few fields": ("pvar", lambda d: d.replace(b"\tC\tT\tq10", b""), "has 3 fields"),
    "columns": ("pvar", lambda d: d.replace(b"POS\tID", b"ID\tPOS"), "has columns"),
    "cut": ("pgen", lambda d: d[:-1], "is cut or corrupt"),
    "cut in its header": ("pgen", lambda d: d[:8], "is cut"),
    "no individual": ("psam", lambda d: b"#IID\n", "is empty"),
    "a .bed file": ("pgen", lambda d: b"\x6c\x1b\x01" + d[3:], "expected a name in"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_read__says_what_is_wrong(copy, fault):
    ending, damage, message = FAULTS[fault]
    path = copy.with_suffix(f".{ending}")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=message) as caught:
        read(copy)
    assert str(copy.with_suffix("")) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read__a_cut_is_bad_wherever_it_is(copy):
    data = copy.read_bytes()
    for length in range(len(data)):
        copy.write_bytes(data[:length])
        with pytest.raises(BadInput):
            read(copy)


def test_inspect__one_pvar_is_wanted(copy):
    pvar = copy.with_suffix(".pvar")
    shutil.copy(pvar, f"{pvar}.zst")
    with pytest.raises(BadInput, match=r"--pvar to name one"):
        inspect_sample(str(copy), ReadOptions())
    pvar.unlink()
    copy.with_suffix(".pvar.zst").unlink()
    with pytest.raises(BadInput, match=r"has no .*c\.pvar: expected --pvar"):
        inspect_sample(str(copy), ReadOptions())


def test_inspect__no_probabilities(copy):
    with pytest.raises(BadInput, match=r"has no GP: expected --vcf-field GT"):
        inspect_sample(str(copy), ReadOptions(vcf_field="GP"))


def test_inspect__without_pgenlib(copy, monkeypatch):
    load = builtins.__import__

    def refuse(name, *others, **more):
        if name == "pgenlib":
            raise ImportError(name)
        return load(name, *others, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(BadInput, match=r"pip install 'hpc_connector\[pgen\]'"):
        inspect_sample(str(copy), ReadOptions())


def test_read__many_variants_in_blocks(tmp_path):
    words = ["--dummy", "50", "3000", "0.05", "--seed", "1", "--make-pgen"]
    call("plink2", *words, "--out", str(tmp_path / "p"))
    words = ["--pfile", str(tmp_path / "p"), "--make-bed"]
    call("plink2", *words, "--out", str(tmp_path / "b"))
    of_bed = convert_samples(
        read_sample(inspect_sample(str(tmp_path / "b.bed"), ReadOptions()))
    )
    file = inspect_sample(str(tmp_path / "p.pgen"), ReadOptions())
    blocks = [block for part in range(4) for block in read_sample(file, part, 4)]
    found = convert_samples(blocks)
    np.testing.assert_array_equal(found.genotypes, of_bed.genotypes)
    assert found.variants.id.tolist() == of_bed.variants.id.tolist()
