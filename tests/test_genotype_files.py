"""Genotype files as other programs write them, and what is said of each.

The folders of tests/data/cases/genotypes are 40 individuals each; in most, the first
variant decides who is a case.
"""

import csv
import gzip
import json
import logging
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest

from conftest import require
from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.sample_file import ReadOptions
from hpc_connector.loader.genotypes.samples import (
    convert_samples,
    inspect_sample,
    read_sample,
)
from mdr_epistasis.program import main
from test_loader_bgen import compress, make_file, make_genotypes, make_variant, pack
from test_loader_vcf import convert_to_bcf, make_record, make_text, write

CASES = Path(__file__).parent / "data/cases/genotypes"


@pytest.fixture
def run(tmp_path, capsys, caplog):
    """Return a function that runs a search in a copy of a case, or where it is given.

    It returns the exit code, the lines of stderr, and the models and manifest.
    """

    def search(case, *words):
        folder = tmp_path / "case"
        if not folder.exists():
            shutil.copytree(CASES / case, folder)
        files = [str(folder / w) if (folder / w).exists() else w for w in words]
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        capsys.readouterr()
        caplog.set_level(logging.INFO)
        code = main(["run", *files, "--folds", "2", "--out", str(out)])
        said = capsys.readouterr().err.splitlines()
        return code, said, *read_results(out)

    return search


def read_results(out):
    """Return the models of a run by their variants, and its manifest."""
    if not (out / "models.tsv").exists():
        return {}, {}
    with open(out / "models.tsv") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    names = ("variant_1", "position_1", "variant_2", "position_2")
    models = {tuple(row[name] for name in names): row for row in rows}
    assert len(models) == len(rows)
    return models, json.loads((out / "manifest.json").read_text())


def get_accuracies(models):
    return {
        "x".join(sorted(name[::2])): (
            int(m["n"]),
            round(float(m["balanced_accuracy"]), 3),
        )
        for name, m in models.items()
    }


def read_file(path, **options):
    """Return names, genotypes and counts of a file, in one part and in three."""
    sample_file = inspect_sample(str(path), ReadOptions(**options))
    found = []
    for n_parts in (1, 3):
        blocks = [
            b for p in range(n_parts) for b in read_sample(sample_file, p, n_parts)
        ]
        block = convert_samples(blocks)
        counted = {}
        for b in blocks:
            for name, n in b.counted.items():
                counted[name] = counted.get(name, 0) + n
        found.append((block.variants.id.tolist(), block.genotypes.tolist(), counted))
    assert found[0] == found[1]
    return found[0]


DECIDES = {"rs1xrs2": (40, 1.0), "rs1xrs3": (40, 1.0), "rs2xrs3": (40, 0.625)}


def test_run__bim_of_five_columns(run):
    code, _, models, _ = run("bim_of_five_columns", "x.bed")
    assert (code, get_accuracies(models)) == (0, DECIDES)


BIM = CASES / "bim_of_five_columns/x.bim"
BIM_TEXTS = {
    "blanks": lambda text: text.replace("\t", "   "),
    "windows": lambda text: text.replace("\n", "\r\n"),
    "old mac": lambda text: text.replace("\n", "\r"),
    "mark of Unicode": lambda text: "\ufeff" + text,
    "header": lambda text: "#CHROM\tID\tPOS\tALT\tREF\n" + text,
    "blank lines": lambda text: "\n" + text.replace("\n", "\n \n"),
    "no last line end": lambda text: text.rstrip("\n"),
    "six columns": lambda text: text.replace("rs", "0 rs").replace(" r", "\tr"),
    "more columns": lambda text: "".join(
        "\t".join([*row[:2], "0.1", *row[2:], "x", "y"]) + "\n"
        for row in (line.split() for line in text.splitlines())
    ),
    "a line separator in an id": lambda text: text.replace("rs1", "rs\u20281"),
}


@pytest.mark.parametrize("kind", BIM_TEXTS)
@pytest.mark.parametrize("code", ["utf-8", "utf-16", "gzip"])
def test_read__bim_as_it_is_found(tmp_path, kind, code):
    for name in ("x.bed", "x.fam"):
        shutil.copy(BIM.with_name(name), tmp_path)
    text = BIM.read_text()
    if kind == "six columns":
        text = "".join(
            "\t".join([*row[:2], "0", *row[2:]]) + "\n"
            for row in (line.split() for line in text.splitlines())
        )
    else:
        text = BIM_TEXTS[kind](text)
    data = text.encode("utf-8" if code == "gzip" else code)
    data = gzip.compress(data) if code == "gzip" else data
    (tmp_path / "x.bim").write_bytes(data)
    block = convert_samples(
        read_sample(inspect_sample(str(tmp_path / "x.bed"), ReadOptions()))
    )
    expected = convert_samples(
        read_sample(inspect_sample(str(BIM.with_suffix(".bed")), ReadOptions()))
    )
    assert block.variants.position.tolist() == [1000, 2000, 3000]
    assert block.variants.counted.tolist() == ["G"] * 3
    assert block.variants.id[1:].tolist() == ["rs2", "rs3"]
    assert block.genotypes.tolist() == expected.genotypes.tolist()


def test_run__chromosome_1_and_chr1_are_one(run):
    words = ["a.vcf", "b.vcf", "--labels", "labels.tsv", "--min-distance-bp", "100000"]
    code, _, models, _ = run("chromosome_1_and_chr1_in_two_files", *words)
    far = {"rs1xrs3": (40, 1.0), "rs2xrs3": (40, 1.0)}
    assert (code, get_accuracies(models)) == (0, far)
    assert {m["chromosome_1"] for m in models.values()} == {"1", "chr1"} or {
        m["chromosome_2"] for m in models.values()
    } == {"1", "chr1"}


@pytest.mark.parametrize("name", ["01", "CHR1", "Chr01", "chromosome1", "NC_000001.10"])
def test_run__names_of_one_chromosome(run, tmp_path, name):
    shutil.copytree(CASES / "chromosome_1_and_chr1_in_two_files", tmp_path / "case")
    path = tmp_path / "case/b.vcf"
    path.write_text(path.read_text().replace("chr1", name))
    words = ["a.vcf", "b.vcf", "--labels", "labels.tsv", "--min-distance-bp", "100000"]
    assert set(get_accuracies(run("", *words)[2])) == {"rs1xrs3", "rs2xrs3"}


def test_run__dosages_left_out_are_calls(run, caplog):
    words = ["x.vcf", "--labels", "labels.tsv"]
    case = "dosage_left_out_where_the_call_is_certain"
    by_call = run(case, *words)
    by_dosage = run(case, *words, "--vcf-field", "DS")
    assert get_accuracies(by_dosage[2]) == get_accuracies(by_call[2])
    assert {int(m["n"]) for m in by_dosage[2].values()} == {40}
    assert by_dosage[3]["counted"] == {"genotypes without DS were taken from GT": 67}
    assert "note: genotypes without DS were taken from GT: 67" in caplog.messages


def test_run__dosages_of_haploid_males_are_of_one_copy(run):
    words = ["x.vcf", "--labels", "x.psam"]
    by_call = run("dosage_of_haploid_males", *words)
    by_dosage = run("dosage_of_haploid_males", *words, "--vcf-field", "DS")
    assert get_accuracies(by_dosage[2]) == get_accuracies(by_call[2])
    assert len(by_dosage[2]) == 3
    assert list(by_dosage[3]["counted"].values()) == [60]


def test_run__a_variant_that_stands_twice_is_one(run):
    words = ["x.vcf", "--labels", "labels.tsv"]
    _, _, models, manifest = run("duplicate_record_pairs_with_itself", *words)
    assert get_accuracies(models) == {"rs1xrs2": (40, 1.0)}
    assert list(manifest["counted"].values()) == [1]
    assert manifest["cohort"]["variants_kept"] == 2


def test_run__overlapping_chunks_are_one_variant(run, tmp_path):
    folder = tmp_path / "case"
    shutil.copytree(CASES / "duplicate_record_pairs_with_itself", folder)
    text = (folder / "x.vcf").read_text()
    # the second chunk names the chromosome, the variant and the alleles otherwise
    other = text.replace("\n1\t", "\nchr1\t").replace("rs1\tA\tG", ".\tG\tA")
    (folder / "b.vcf").write_text(other)
    words = ["x.vcf", "b.vcf", "--labels", "labels.tsv"]
    models, manifest = run("", *words)[2:]
    assert set(get_accuracies(models)) == {"rs1xrs2"}
    assert manifest["cohort"]["removed"] == {"repeated": 4}


def test_run__counts_are_the_same_on_any_number_of_ranks(run, tmp_path):
    folder = tmp_path / "case"
    shutil.copytree(CASES / "vcf_one_call_of_three_copies", folder)
    text = (folder / "x.vcf").read_text()
    (folder / "b.vcf").write_text(text.replace("\n1\t", "\nchr1\t"))
    words = [str(folder / "x.vcf"), str(folder / "b.vcf"), "--folds", "2"]
    words += ["--labels", str(folder / "labels.tsv")]
    records = []
    for n in (1, 3):
        out = tmp_path / f"of_{n}"
        launch = ["mpirun", "-n", str(n), "mdr-epistasis", "run", *words]
        subprocess.run([*launch, "--out", str(out)], check=True, capture_output=True)
        records.append(read_results(out)[1])
        assert sorted(records[-1]["counted"].values()) == [2, 3]
    assert records[0]["counted"] == records[1]["counted"]
    assert records[0]["cohort"] == records[1]["cohort"]
    of_one, of_three = (tmp_path / f"of_{n}/models.tsv" for n in (1, 3))
    assert of_one.read_bytes() == of_three.read_bytes()


def test_run__an_id_at_two_places_is_two_variants(run, tmp_path):
    folder = tmp_path / "case"
    shutil.copytree(CASES / "vcf_one_call_of_three_copies", folder)
    text = (folder / "x.vcf").read_text()
    (folder / "x.vcf").write_text(text.replace("\trs2\t", "\trs1\t"))
    models, manifest = run("", "x.vcf", "--labels", "labels.tsv")[2:]
    assert len(models) == 3
    shared = "ids name several variants, of other places or alleles"
    assert manifest["counted"][shared] == 1


HALF_CALLS = {"missing": 20, "haploid": 40, "reference": 40}


@pytest.mark.parametrize("half_call", HALF_CALLS)
def test_run__half_calls_of_males(run, caplog, half_call):
    words = ["x.vcf", "--labels", "x.psam", "--max-missing", "0.6"]
    _, _, models, manifest = run(
        "half_calls_of_males", *words, "--half-call", half_call
    )
    assert {int(m["n"]) for m in models.values()} == {HALF_CALLS[half_call]}
    assert list(manifest["counted"].values()) == [60]
    assert any("half-calls" in message for message in caplog.messages)


def test_run__half_calls_may_be_an_error(run):
    words = ["x.vcf", "--labels", "x.psam", "--half-call", "error"]
    code, said, _, _ = run("half_calls_of_males", *words)
    assert code == 2
    (line,) = said
    assert "record X:5000000, individual 2 has a half-call" in line
    assert "--half-call missing, haploid, reference" in line


def test_run__a_call_of_three_copies_is_missing(run):
    words = ["x.vcf", "--labels", "labels.tsv"]
    _, _, models, manifest = run("vcf_one_call_of_three_copies", *words)
    assert get_accuracies(models) == DECIDES
    assert manifest["counted"] == {
        "calls of three or more copies were taken as missing": 1
    }


# the calls, and what they are with --half-call missing, haploid, reference
ODD_CALLS = [
    ("0/.", (-1, 0, 0)),
    ("./1", (-1, 2, 1)),
    ("1|.", (-1, 2, 1)),
    (".|0", (-1, 0, 0)),
    ("|./1", (-1, 2, 1)),
    ("0/0/1", (-1, -1, -1)),
    ("0|1|.", (-1, -1, -1)),
    ("1/1/1/1", (-1, -1, -1)),
]


@pytest.mark.parametrize("k", range(3))
def test_read__odd_calls_are_the_same_in_bcf(tmp_path, k):
    plain = ["0/0", "1", ".", "./.", "././.", "0|1"]
    calls = [*plain, *(call for call, _ in ODD_CALLS if not call.startswith("|"))]
    expected = [0, 2, -1, -1, -1, 1]
    expected += [g[k] for call, g in ODD_CALLS if not call.startswith("|")]
    text = make_text([make_record(*calls)], len(calls))
    vcf = write(tmp_path / "a.vcf", text)
    bcf = convert_to_bcf(vcf, tmp_path / "a.bcf")
    half_call = ("missing", "haploid", "reference")[k]
    of_text, of_bcf = (read_file(path, half_call=half_call) for path in (vcf, bcf))
    assert of_text == of_bcf
    assert of_text[1] == [expected]
    assert sorted(of_text[2].values()) == [1, 3, 4]


@pytest.mark.parametrize(("call", "expected"), ODD_CALLS)
def test_read__an_odd_call(tmp_path, call, expected):
    vcf = write(tmp_path / "a.vcf", make_text([make_record(call, "0/1")]))
    options = ("missing", "haploid", "reference")
    found = [read_file(vcf, half_call=one)[1][0] for one in options]
    assert found == [[genotype, 1] for genotype in expected]


def test_read__half_calls_of_a_record_of_three_alleles_count_once(tmp_path):
    record = make_record("0/.", "./2", "1/2", "0/0/2", alt="C,G")
    vcf = write(tmp_path / "a.vcf", make_text([record], 4))
    names, genotypes, counted = read_file(vcf, half_call="haploid")
    assert names == ["rs1_C", "rs1_G"]
    assert genotypes == [[0, -1, -1, -1], [0, 2, -1, -1]]
    assert sorted(counted.values()) == [1, 1, 2]


def test_read__a_record_without_the_field_is_missing(tmp_path):
    lines = [make_record("0/1", "1/1"), make_record("3", "4", keys="AD")]
    lines += [make_record("0/0", "0/1"), make_record(".", ".", keys=".")]
    vcf = write(tmp_path / "a.vcf", make_text(lines))
    bcf = convert_to_bcf(write(tmp_path / "b.vcf", make_text(lines[:3])), f"{vcf}.bcf")
    _, genotypes, counted = read_file(vcf)
    assert genotypes == [[1, 2], [-1, -1], [0, 1], [-1, -1]]
    assert counted == {"records without the field GT were taken as missing": 2}
    assert read_file(bcf)[1] == genotypes[:3]


@pytest.mark.parametrize(("keys", "field"), [("DP", "GT"), ("GT", "DS"), ("GT", "GP")])
def test_inspect__a_field_that_a_file_has_nowhere(tmp_path, keys, field):
    text = make_text([make_record("0", "1", keys=keys)])
    lines = text.splitlines(keepends=True)
    text = "".join(line for line in lines if "##FORMAT" not in line)
    vcf = write(tmp_path / "a.vcf", text)
    with pytest.raises(BadInput, match=rf"no field {field}: found {keys} in FORMAT"):
        read_file(vcf, vcf_field=field)


# what programs write of the same individuals: two women, a man with ALT, one without
DOSAGES = {
    "plink2": ("GT:DS", ["0/1:0.98", "1/1", "1:0.99", "0"]),
    "plink2 without dosages": ("GT", ["0/1", "1/1", "1", "0"]),
    "minimac": (
        "GT:DS:HDS:GP",
        [
            "0|1:1.01:0.01,1:0,0.99,0.01",
            "1|1:2:1,1:0,0,1",
            "1:0.98:0.98:0.02,0.98",
            "0:0.001:0.001:1,0",
        ],
    ),
    "minimac4": ("HDS", ["0.01,1", "1,1", "0.98", "0.001"]),
    "beagle": ("GT:DS", ["0|1:1", "1|1:1.99", "1:1", "0:0"]),
    "glimpse": (
        "GT:DS:GP:HS",
        [
            "0/1:0.99:0.01,0.98,0.01:3",
            "1/1:2:0,0,1:3",
            "1:1:0,1:3",
            "0:0.03:0.97,0.03:3",
        ],
    ),
    "two copies of men": ("GT:DS", ["0|1:1", "1|1:1.99", "1:1.98", "0:0"]),
    "in %e": ("GT:DS", ["0/1:1.0e+00", "1/1:2E+0", "1:+1", "0:1e-3"]),
    "dots": ("GT:DS", ["0/1:.", "1/1:2", "1:.", "0:NaN"]),
    "moved": ("DS:GT", ["1:0/1", "2:1/1", "1:1", "0:0"]),
}


def make_dosages(tmp_path, keys, calls):
    header = "".join(
        f'##FORMAT=<ID={name},Number=.,Type={kind},Description="D">\n'
        for name, kind in [("HDS", "Float"), ("HS", "Integer")]
    )
    text = make_text([make_record(*calls, keys=keys)], 4)
    text = text.replace("#CHROM", f"{header}#CHROM", 1)
    vcf = write(tmp_path / "a.vcf", text)
    return vcf, convert_to_bcf(vcf, tmp_path / "a.bcf")


@pytest.mark.parametrize("program", DOSAGES)
def test_read__dosages_as_programs_write_them(tmp_path, program):
    vcf, bcf = make_dosages(tmp_path, *DOSAGES[program])
    of_text, of_bcf = (read_file(path, vcf_field="DS") for path in (vcf, bcf))
    assert of_text[1] == [[1, 2, 2, 0]]
    assert of_bcf == of_text


@pytest.mark.parametrize("program", ["minimac", "glimpse", "plink2 without dosages"])
def test_read__probabilities_as_programs_write_them(tmp_path, program):
    vcf, bcf = make_dosages(tmp_path, *DOSAGES[program])
    assert read_file(vcf, vcf_field="GP")[1] == [[1, 2, 2, 0]]
    assert read_file(bcf, vcf_field="GP")[1] == [[1, 2, 2, 0]]


def test_read__an_uncertain_man_is_missing(tmp_path):
    vcf = make_dosages(tmp_path, "GT:DS", ["0/1:1", "1/1:2", "1:0.5", "0:0.45"])[0]
    assert read_file(vcf, vcf_field="DS")[1] == [[1, 2, -1, -1]]


def test_read__a_dot_on_x_is_a_man_whose_call_plink2_left_out(tmp_path):
    calls = ["0/1:1", "./.:0.05", ".:0.08", ".:0.92"]
    lines = [make_record(*calls, keys="GT:DS")]
    lines += [lines[0].replace("1\t10", "X\t10", 1)]
    lines += [lines[1].replace(".:0.92", ".:1.92")]  # of two copies, a dot as well
    vcf = write(tmp_path / "a.vcf", make_text(lines, 4))
    bcf = convert_to_bcf(vcf, tmp_path / "a.bcf")
    found = read_file(vcf, vcf_field="DS")
    assert found[1] == [[1, 0, 0, 1], [1, 0, 0, 2], [1, 0, 0, 2]]
    assert list(found[2].values()) == [2]
    assert read_file(bcf, vcf_field="DS") == found


def test_read__dosages_of_x_without_calls_are_noted(tmp_path):
    line = make_record("1", "0.99", keys="DS")
    text = make_text([line, line.replace("1\t10", "chrX\t10", 1)])
    counted = read_file(write(tmp_path / "a.vcf", text), vcf_field="DS")[2]
    assert [n for name, n in counted.items() if name.startswith("records of X")] == [1]


def test_read__dosages_left_out_agree_with_plink2(tmp_path):
    case = CASES / "dosage_of_haploid_males"
    words = ["--vcf", str(case / "x.vcf"), "dosage=DS", "--psam", str(case / "x.psam")]
    call_plink2(tmp_path, *words, "--export", "A", "include-alt")
    rows = [line.split()[6:] for line in (tmp_path / "p.raw").read_text().splitlines()]
    copies = np.round(np.array(rows[1:], float).T).astype(int)
    if "_A(" in rows[0][0]:
        copies = 2 - copies
    assert read_file(case / "x.vcf", vcf_field="DS")[1] == copies.tolist()


def call_plink2(folder, *words):
    command = [require("plink2"), *words, "--out", str(folder / "p")]
    subprocess.run(command, check=True, capture_output=True)


def test_run__gen_numbers_in_exponents(run):
    words = ["x.gen", "--labels", "labels.txt"]
    code, _, models, _ = run("gen_numbers_with_positive_exponent", *words)
    assert (code, get_accuracies(models)) == (0, DECIDES)


NUMBERS = {  # of 1, 0 and 0
    "savetxt": "1.000000000000000000e+00 0.000000000000000000e+00 0.0e+00",
    "capital": "1E+0 0E+0 0E-0",
    "bare": "1e0 0e0 0",
    "signs": "+1 -0 +0.0",
    "rounding": "1.0000001 -1.1e-16 2.2e-17",
    "shifted": "10e-1 0.0 0",
    "points": "1. .0 0.",
    "tiny": "1 4.9e-324 1e-400",
    "zeros": "1 0e+999 0.0e-999",
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_read__numbers_of_gen(tmp_path, kind):
    path = write(tmp_path / "a.gen", f"1 s rs1 9 A G {NUMBERS[kind]} 0 1 0\n")
    assert read_file(path)[1] == [[0, 1]]


@pytest.mark.parametrize("word", ["NA", "nan", "NaN", "."])
def test_read__missing_numbers_of_gen(tmp_path, word):
    text = f"1 s rs1 9 A G {word} {word} {word} 0 1 0\n"
    assert read_file(write(tmp_path / "a.gen", text))[1] == [[-1, 1]]
    path = write(tmp_path / "b.gen", f"1 s rs1 9 A G 1 {word} 0 0 1 0\n")
    with pytest.raises(BadInput, match="number 2 after its columns"):
        read_file(path)


def find_assumed(manifest):
    """Return what was assumed of chromosomes."""
    return [one for one in manifest["assumed"] if one["what"] == "chromosome"]


FIVE = "gen_five_columns_snp_id_is_no_chromosome"
FAR = {"rs1xrs3", "rs2xrs3"}
DISTANCE = ["--labels", "labels.txt", "--min-distance-bp", "100000"]


def test_run__gen_of_five_columns_has_no_chromosome(run):
    code, said, _, _ = run(FIVE, "x.gen", *DISTANCE)
    assert code == 2
    (line,) = said
    assert "3 of 3 variants have no place, as 'rs1'" in line
    assert "--chromosome" in line


def test_run__gen_of_a_chromosome_that_is_named(run):
    _, _, models, manifest = run(FIVE, "x.gen", *DISTANCE, "--chromosome", "chr7")
    assert set(get_accuracies(models)) == FAR
    assert {m["chromosome_1"] for m in models.values()} == {"chr7"}
    assert find_assumed(manifest) == []


@pytest.mark.parametrize("name", ["chr22.gen", "cohort_chr5.gen.gz", "a.CHR_X.p1.gen"])
def test_run__gen_of_a_chromosome_in_its_name(run, tmp_path, caplog, name):
    folder = tmp_path / "case"
    shutil.copytree(CASES / FIVE, folder)
    data = (folder / "x.gen").read_bytes()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    _, _, models, manifest = run("", name, *DISTANCE)
    assert set(get_accuracies(models)) == FAR
    (assumed,) = find_assumed(manifest)
    assert assumed["option"] == "--chromosome"
    assert any("is assumed, for the name of" in line for line in caplog.messages)


IDS = {  # of the first two columns, from chromosome, position and number
    "place": "{0}:{1}:A:G rs{2}",
    "place in the rs id": "SNP{2} chr{0}_{1}_A_G",
    "bcftools": "{0}:{1}_A_G {0}:{1}_A_G",
    "plink": "{0} rs{2}",
    "gtex": "chr{0}_{1}_A_G_b38 .",
    "lifted": "{0}:{1}:A:G {0}:{1}:A:G",
}


@pytest.mark.parametrize("kind", IDS)
def test_read__chromosomes_of_ids(tmp_path, kind):
    places = [(1, 10), (1, 20), (2, 10)]
    rows = [IDS[kind].format(*place, k) for k, place in enumerate(places)]
    at = [position for _, position in places]
    if kind == "lifted":  # ids of another assembly prove nothing
        at = [position + 5 for position in at]
    lines = [f"{row} {p} A G 1 0 0\n" for row, p in zip(rows, at, strict=True)]
    path = write(tmp_path / "a.gen", "".join(lines))
    sample_file = inspect_sample(path, ReadOptions())
    variants = convert_samples(read_sample(sample_file)).variants
    names = [name.removeprefix("chr") for name in variants.chromosome]
    assert names == (["0"] * 3 if kind == "lifted" else ["1", "1", "2"])
    assert [one.what for one in sample_file.assumed] == ["chromosome"] * (
        kind != "lifted"
    )


@pytest.mark.parametrize("first", ["1", "---", "SNP_A-1", "rs1", "27"])
def test_read__a_first_column_that_is_no_chromosome(tmp_path, first):
    column = [str(k + 1) for k in range(3)] if first == "1" else [first] * 3
    if first in ("SNP_A-1", "27"):
        column = [f"{first[:-1]}{k + 7}" for k in range(3)]
    lines = [f"{c} rs{k} {10 * k + 1} A G 1 0 0\n" for k, c in enumerate(column)]
    path = write(tmp_path / "a.gen", "".join(lines))
    variants = convert_samples(read_sample(inspect_sample(path, ReadOptions())))
    assert variants.variants.chromosome.tolist() == ["0"] * 3


def test_read__ids_that_contradict_the_name_of_the_file(tmp_path):
    rows = [f"s rs{k} {k} A G 1 0 0\n" for k in range(1, 150)]
    rows.append("s 5:200:A:G 200 A G 1 0 0\n")
    path = write(tmp_path / "chr22.gen", "".join(rows))
    with pytest.raises(BadInput, match="says chromosome 5 and the name of the file 22"):
        read_file(path)
    assert len(read_file(path, chromosome="22")[0]) == 150


def test_run__table_has_no_distances(tmp_path, capsys):
    rows = [f"{k % 3} {k % 2} {k % 2}\n" for k in range(40)]
    path = write(tmp_path / "a.txt", "a b Class\n" + "".join(rows))
    words = ["run", path, "--folds", "2", "--min-distance-bp", "5", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "2 of 2 variants have no place" in line


HET = (0, 255, 0, 0, 0)  # of three alleles, in the order 00, 01, 11, 02, 12
ALLELES = ("A", "C", "G")


def make_bgen(path, individuals, ploidy, is_phased=False, alleles=ALLELES):
    """Write one variant with numbers of 8 bits."""
    head = struct.pack("<IHBB", len(ploidy), len(alleles), min(ploidy) & 63, 3)
    body = head + bytes(ploidy) + bytes([is_phased, 8])
    body += pack([x for numbers in individuals for x in numbers], 8)
    return write(path, make_file([make_variant(body, 1, 0, alleles)], len(ploidy), 1))


def test_read__bgen_of_three_alleles_is_split_as_vcf(tmp_path):
    diploid = np.eye(6, dtype=int)[:, :5] * 255
    path = make_bgen(tmp_path / "a.bgen", diploid.tolist(), [2] * 6)
    names, genotypes, counted = read_file(path)
    calls = ["0/0", "0/1", "1/1", "0/2", "1/2", "2/2"]
    record = make_record(*calls, alt="C,G", name="rs0")
    vcf = read_file(write(tmp_path / "a.vcf", make_text([record], 6)))
    assert (names, genotypes, counted) == vcf
    assert names == ["rs0_C", "rs0_G"]
    assert list(counted.values()) == [1]


def test_read__bgen_of_other_ploidy(tmp_path):
    individuals = [(255,), (0, 255), (0, 0, 0), (0, 0), ()]
    path = make_bgen(tmp_path / "a.bgen", individuals, [1, 2, 3, 0x82, 0], False, "AC")
    _, genotypes, counted = read_file(path)
    assert genotypes == [[0, 1, -1, -1, -1]]
    assert counted == {
        "calls of three or more copies were taken as missing": 1,
        "calls of one copy, as 1, were taken as two alike": 1,
    }


def test_read__bgen_of_three_alleles_phased_and_haploid(tmp_path):
    individuals = [(255, 0, 0, 255), (0, 0, 0, 0), (0, 255), (0, 0), (100, 100, 0, 0)]
    path = make_bgen(tmp_path / "a.bgen", individuals, [2, 2, 1, 1, 2], True)
    assert read_file(path)[1] == [[1, -1, 2, -1, -1], [-1, 2, -1, 2, -1]]


def test_read__bgen_of_three_alleles_that_sum_to_more(tmp_path):
    path = make_bgen(tmp_path / "a.bgen", [(255, 0, 0, 1, 0)], [2])
    with pytest.raises(BadInput, match="variant 1: expected probabilities that sum"):
        read_file(path)


def test_read__bgen_without_chromosomes(tmp_path):
    body = compress(make_genotypes([(255, 0)]), 0)
    variants = [make_variant(body, 0, k, rsid=name) for k, name in enumerate("ab")]
    data = make_file(variants, 1, 0).replace(b"\x01\x001", b"\x02\x00NA")
    path = write(tmp_path / "a.bgen", data)
    for option, name in (("", "0"), ("7", "7")):
        sample_file = inspect_sample(path, ReadOptions(chromosome=option))
        block = convert_samples(read_sample(sample_file))
        assert block.variants.chromosome.tolist() == [name] * 2


def test_run__raw_is_not_taken_for_bsc_text(run):
    code, said, _, _ = run("plink_raw_taken_for_bsc_text", "x.raw")
    assert code == 2
    (line,) = said
    assert "PLINK's .raw text" in line
    assert "--make-bed" in line


FOREIGN = {  # a file, and what is said of it
    "raw": ("FID IID PAT MAT SEX PHENOTYPE rs1_A\na a 0 0 1 2 0\n", "plink --make-bed"),
    "traw": ("CHR\tSNP\t(C)M\tPOS\tCOUNTED\tALT\ta_a\n1\tr\t0\t9\tA\tG\t1\n", "dosage"),
    "ped": ("f a 0 0 1 2 A G A A\nf b 0 0 2 1 A A 0 0\n", "plink --ped"),
    "ped of numbers": ("1 1 0 0 1 2 1 2 1 1\n1 2 0 0 2 1 1 1 0 0\n", "plink --ped"),
    "ped of pairs": ("f a 0 0 1 -9 AG AA\n", "plink --ped"),
    "tped": ("1 rs1 0 1000 A G A A\nX rs2 0.5 2000 G G 0 0\n", "plink --tped"),
    "tped of numbers": ("1 rs1 0 1000 1 2 1 1\n1 rs2 0 2000 2 2 0 0\n", "plink --tped"),
    "lgen": ("f a rs1 A G\nf a rs2 0 0\n", "plink --lgen"),
    "haps": ("1 rs1 9 A G 0 1 1 1 0 0\n1 rs2 19 A G 0 1 1 0 1 1\n", "plink2 --haps"),
    "hap of bcftools": ("0* 1* 1* 1* 0 0\n0 1 1* 0* 1 1\n", "plink2 --haps"),
    "hap": ("0 1 1 1 0 0\n0 1 1 0 1 1\n", "plink2 --haps"),
    "legend": ("id position a0 a1\nrs1 9 A G\n", "plink2 --haps"),
    "pvar": (
        "##x=1\n#CHROM\tPOS\tID\tREF\tALT\n1\t9\trs1\tA\tG\n",
        "the .pgen file beside",
    ),
    "psam": ("#FID\tIID\tSEX\nf\ta\t1\n", "the .pgen file beside"),
    "23andMe": (
        "# rsid\tchromosome\tposition\tgenotype\nrs1\t1\t9\tAG\n",
        "plink --23file",
    ),
    "MyHeritage": ('RSID,CHROMOSOME,POSITION,RESULT\n"rs1","1","9","AG"\n', "--23file"),
    "HapMap": ("rs#\talleles\tchrom\tpos\tstrand\nr\tA/G\t1\t9\t+\n", "TASSEL"),
    "EIGENSTRAT": ("0120\n9110\n", "convertf"),
    "BED of intervals": ("chr1\t100\t200\nchrX\t5\t9\n", "PLINK's .bed"),
    "bim": ("1\trs1\t0\t1000\tA\tG\n", "the .bed file beside it"),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("name", ["a", "a.txt", "a.gen", "a.vcf", "a.dat.gz", "a.csv"])
def test_inspect__files_that_are_not_read_say_what_makes_one(tmp_path, kind, name):
    text, advice = FOREIGN[kind]
    data = gzip.compress(text.encode()) if name.endswith("gz") else text.encode()
    path = write(tmp_path / name, data)
    with pytest.raises(BadInput, match="which is not read: expected") as caught:
        inspect_sample(path, ReadOptions())
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)


def test_inspect__bed_that_is_compressed(tmp_path):
    path = write(tmp_path / "a.bed.gz", gzip.compress(b"\x6c\x1b\x01\x00"))
    with pytest.raises(BadInput, match=r"is compressed: expected the \.bed file"):
        inspect_sample(path, ReadOptions())


def test_inspect__gen_in_utf_16(tmp_path):
    path = write(tmp_path / "a.gen", "1 s rs1 9 A G 1 0 0\n".encode("utf-16"))
    with pytest.raises(BadInput, match="is UTF-16 text: expected UTF-8"):
        inspect_sample(path, ReadOptions())


@pytest.mark.parametrize("name", ["a.txt", "a.gen", "a.tsv", "a.bgen"])
def test_inspect__vcf_under_the_name_of_another_format(tmp_path, name):
    path = write(tmp_path / name, make_text([make_record("0/1", "1/1")]))
    with pytest.raises(BadInput, match=r"not what its name says: .* \.vcf"):
        inspect_sample(path, ReadOptions())


def test_inspect__bgen_under_another_name(tmp_path):
    data = make_file([make_variant(make_genotypes([(255, 0)]), 0)], 1, 0)
    assert read_file(write(tmp_path / "a", data))[1] == [[0]]
    path = write(tmp_path / "a.gen", data)
    with pytest.raises(BadInput, match=r"expected a name in \.bgen"):
        inspect_sample(path, ReadOptions())


READ = {  # what looks a little like another format
    "a.gen": "1 rs1 1000 A G 1 0 0 0 1 0\n1 rs2 2000 A G 0 0 1 1 0 0\n",
    "b.gen": "1 1 1 1000 1 2 1 0 0 0 1 0\n1 2 2 2000 1 2 0 0 1 1 0 0\n",
    "c.gen": "1 rs1 1000 A G 0 0 0 0 1 0\n1 rs2 2000 A G 0 0 1 1 0 0\n",
    "bsc": "1 rs1 1000 A G 1 0 0 0 1 0\n1 rs2 2000 A G 0.1 0.9 0 1 0 0\n",
    "a.txt": "rs1 rs2 Class\n0 1 1\n2 1 0\n",
    "b.txt": "A C G T Class\n0 1 1 0 1\n2 1 0 0 0\n",
}


@pytest.mark.parametrize("name", READ)
def test_inspect__files_that_are_read(tmp_path, name):
    path = write(tmp_path / name, READ[name])
    assert len(read_file(path)[0]) == (4 if name == "b.txt" else 2)


def test_read__vcf_with_a_mark_of_unicode(tmp_path):
    text = make_text([make_record("0/1", "1/1")])
    marked = write(tmp_path / "a.vcf", "\ufeff" + text)
    assert read_file(marked) == read_file(write(tmp_path / "b.vcf", text))
    assert pysam.VariantFile(str(tmp_path / "b.vcf")).header.samples[0] == "i0"
