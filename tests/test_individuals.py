"""Who is who, and who is a case: files as people and programs write them.

In all cohorts the first variant decides who is a case, so that its models have a
balanced accuracy of 1 if, and only if, individuals are matched rightly.
"""

import csv
import gzip
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hpc_connector.loader.genotypes.companions import read_people
from hpc_connector.loader.id_columns import convert_numbers
from hpc_connector.loader.individuals import Match, keep_individuals
from hpc_connector.loader.labels import convert_labels, read_labels
from mdr_epistasis.program import main

CASES = Path(__file__).parent / "data/cases/genotypes"
VCF = (CASES / "labels_id_column_eid/x.vcf").read_text()
EID = (CASES / "labels_id_column_eid/labels.tsv").read_text()
TRUTH = {row.split("\t")[0]: int(row.split("\t")[2]) for row in EID.splitlines()[1:]}
FAMILIES = "iid_unique_in_its_family_only"
PHENO = (CASES / FAMILIES / "x.pheno").read_text()
PEOPLE = [row.split() for row in PHENO.splitlines()[1:]]  # FID, IID, 1 or 2


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a new folder, which is the one we are in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def copy(case, place):
    """Copy a case to a folder."""
    shutil.copytree(CASES / case, place, dirs_exist_ok=True)


def make_table(header, make_row, separator="\t"):
    """Return a table with a row for each individual, of id, label and number."""
    rows = [make_row(name, label, k) for k, (name, label) in enumerate(TRUTH.items())]
    rows = [header, *rows] if header else rows
    return "\n".join(separator.join(map(str, row)) for row in rows) + "\n"


def rename(rule):
    """Return the VCF file with other names of individuals."""
    lines = VCF.splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("#CHROM"))
    fields = lines[at].split("\t")
    lines[at] = "\t".join([*fields[:9], *map(rule, fields[9:])])
    return "\n".join(lines) + "\n"


def run(*words):
    """Return the exit code of a run."""
    return main(["run", *map(str, words), "--folds", "2", "--out", "out", "--quiet"])


def check_right(place, n=40):
    """Check that the first variant decides who is a case; return the manifest."""
    with open(place / "out/models.tsv") as stream:
        models = list(csv.DictReader(stream, delimiter="\t"))
    first = models[0]["variant_1"]
    of_first = [m for m in models if first in (m["variant_1"], m["variant_2"])]
    assert {float(model["balanced_accuracy"]) for model in of_first} == {1.0}
    assert {model["n"] for model in of_first} == {str(n)}
    return json.loads((place / "out/manifest.json").read_text())


def check_refused(place, capsys, *messages):
    """Check that one line says what is wrong, and that no folder is left."""
    (line,) = capsys.readouterr().err.splitlines()
    for message in messages:
        assert message in line
    assert not (place / "out").exists()


COMMANDS = {
    "bgen_ids_are_fid_iid": ["x.bgen", "--labels", "x.sample"],
    "iid_unique_in_its_family_only": ["x.bed", "--labels", "x.pheno"],
    "gen_of_bcftools_with_samples_file": ["x.gen", "--labels", "labels.tsv"],
    "labels_id_column_eid": ["x.vcf", "--labels", "labels.tsv"],
}


@pytest.mark.parametrize("case", COMMANDS)
def test_run__individuals_of_files_of_other_programs(case, place):
    copy(case, place)
    assert run(*COMMANDS[case]) == 0
    assumed = [entry["what"] for entry in check_right(place)["assumed"]]
    assert not {"who is who", "who is in x.bgen"} & set(assumed)


def test_run__psam_with_comment_lines(place):
    copy("psam_with_comment_lines", place)
    (place / "x.vcf").write_text(VCF)
    assert run("x.vcf", "--labels", "x.psam") == 0
    check_right(place)


TABLES = {  # tables that say who is a case, and how they are written
    **{
        f"ids are {name}": make_table(
            [name, "sex", "status"], lambda i, y, _: (i, 1, y)
        )
        for name in ("eid", "subject", "participant_id", "Sample ID", "#SampleID")
    },
    "neither name is known": make_table(["patient", "t2d"], lambda i, y, _: (i, y)),
    "no header": make_table(None, lambda i, y, _: (i, y), " "),
    "the label comes first": make_table(None, lambda i, y, _: (y, i), ","),
    "quoted": make_table(['"Sample ID"', '"case"'], lambda i, y, _: (f'"{i}"', y), ","),
    "of R": make_table(
        ['"IID"', '"case"'], lambda i, y, k: (f'"{k + 1}"', f'"{i}"', y), " "
    ),
    "of pandas": make_table(["", "eid", "case"], lambda i, y, k: (k, i, f"{y}.0"), ","),
    "of Excel": make_table(["eid", "case"], lambda i, y, _: (i, y), ";") + ";\n;\n",
    "words": make_table(
        ["eid", "group"], lambda i, y, _: (i, "Case" if y else "control")
    ),
    "words without header": make_table(
        None, lambda i, y, _: (i, "case" if y else "control")
    ),
    "FID IID PHENO": make_table(None, lambda i, y, k: (f"F{k}", i, y + 1), " "),
    "#FID": make_table(["#FID", "IID", "T2D"], lambda i, y, _: (0, i, y + 1)),
    "#IID": make_table(["#IID", "T2D"], lambda i, y, _: (i, y + 1)),
    "without header, a family is no id": make_table(
        None, lambda i, y, k: (k // 4, i, y + 1), " "
    ),
    "of plink, plain": make_table(["FID", "IID", "case"], lambda i, y, _: (i, i, y)),
    "all columns of .psam": "##a\n##b\n"
    + make_table(
        ["#FID", "IID", "SID", "PAT", "MAT", "SEX", "PHENO1"],
        lambda i, y, _: (0, i, 1, 0, 0, "NA", y + 1),
    ),
    "a comment of another program": "# made by hand\n" + EID,
    "labels of savetxt": make_table(
        ["eid", "y"], lambda i, y, _: (i, f"{y:.18e}"), " "
    ),
    "Excel's own first line": "sep=;\n"
    + make_table(["eid", "case"], lambda i, y, _: (i, y), ";"),
    "a tab at the end": make_table(["eid", "t2d", ""], lambda i, y, _: (i, y, "")),
    "a comma at the end of rows": make_table(
        ["eid", "t2d"], lambda i, y, _: (i, y, ""), ","
    ),
    "IID, then FID": make_table(
        ["IID", "FID", "t2d"], lambda i, y, k: (i, f"F{k // 2}", y)
    ),
    "a .fam file of another name": make_table(
        None, lambda i, y, k: (f"F{k}", i, 0, 0, 1, y + 1), " "
    ),
    "odd letters": make_table(
        ["eid", "note", "case"], lambda i, y, _: (i, "a\u2028b\x0bc\x85d", y)
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_run__labels_of_any_table(kind, place):
    (place / "x.vcf").write_text(VCF)
    (place / "labels").write_text(TABLES[kind])
    assert run("x.vcf", "--labels", "labels") == 0
    assert check_right(place)["assumed"] == []


NAMES = {  # how genotypes name individuals, and how labels do
    "FID_IID": (
        lambda name: f"F{int(name[1:]) // 4}_{int(name[1:]) % 4}",
        lambda name: (f"F{int(name[1:]) // 4}", int(name[1:]) % 4),
        "FID\tIID",
    ),
    "more than one _": (
        lambda name: f"F_{name[:2]}_a_{name}",
        lambda name: (f"F_{name[:2]}", f"a_{name}"),
        "FID\tIID",
    ),
    "blanks": (lambda name: f"a {name}", lambda name: (f" a {name} ",), "Sample ID"),
    "zeros": (lambda n: n[1:].zfill(5), lambda n: (n[1:].zfill(5),), "eid"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_run__ids_of_one_and_two_parts(kind, place):
    of_genotypes, of_labels, header = NAMES[kind]
    (place / "x.vcf").write_text(rename(of_genotypes))
    table = make_table((header, "case"), lambda i, y, _: (*of_labels(i), y))
    (place / "labels").write_text(table)
    assert run("x.vcf", "--labels", "labels") == 0
    assert check_right(place)["assumed"] == []


ASSUMED = {  # spellings that are told, for they might be ids of their own
    "twice": (lambda name: f"{name}_{name}", str, "as P"),
    "twice with a colon": (lambda name: f"{name}:{name}", str, "as P"),
    "family 0": (lambda name: f"0_{name}", str, "as P"),
    "family 0 with a hyphen": (lambda name: f"0-{name}", str, "as P"),
    "fractions": (
        lambda n: str(int(n[1:]) + 7),
        lambda n: f"{int(n[1:]) + 7}.0",
        "as ",
    ),
    "exponents": (
        lambda name: str(int(name[1:]) + 99990),
        lambda n: "1e+05" if n == "P010" else str(int(n[1:]) + 99990),
        "as 100000",
    ),
}


@pytest.mark.parametrize("kind", ASSUMED)
def test_run__says_how_ids_were_read(kind, place, caplog):
    of_genotypes, of_labels, said = ASSUMED[kind]
    (place / "x.vcf").write_text(rename(of_genotypes))
    table = make_table(("eid", "case"), lambda i, y, _: (of_labels(i), y))
    (place / "labels").write_text(table)
    assert run("x.vcf", "--labels", "labels") == 0
    (entry,) = check_right(place)["assumed"]
    assert entry["what"].startswith("the id ")
    assert entry["taken"].startswith(said)


REFUSED = {  # tables, and what the message says
    "no ids": (make_table(None, lambda i, y, _: (y,)), "labels names no individuals"),
    "no column of ids": (
        make_table(["age", "case"], lambda i, y, k: (40 + k % 7, y)),
        "no individual in common",
    ),
    "others": (
        make_table(["eid", "case"], lambda i, y, _: (f"X{i}", y)),
        "expected them in one of the columns eid ('XP005') (--id-column",
    ),
    "two columns": (
        make_table(["a", "b", "case"], lambda i, y, k: (i, f"P{k:03d}", y)),
        "a and b all hold ids of x.vcf, for other rows: expected --id-column",
    ),
    "one twice": (EID + EID.splitlines()[1] + "\n", "duplicate ids of 1 individuals"),
    "plink's 0 and 1": (
        make_table(["FID", "IID", "PHENO"], lambda i, y, _: (i, i, y)),
        "1 is a control and 0 missing as PLINK codes them: no case; expected 1 and 2",
    ),
    "plink's 0 and 1 without header": (
        make_table(None, lambda i, y, _: (i, i, y), " "),
        "no case; expected 1 and 2, or --1",
    ),
    "quantities": (
        make_table(["#IID", "PHENO"], lambda i, y, k: (i, k + 0.7)),
        "a quantitative trait",
    ),
    "several traits": (
        make_table(["#IID", "T2D", "BMI"], lambda i, y, k: (i, y + 1, k + 20.5)),
        "expected --label-column, one of #IID, T2D, BMI",
    ),
    "several of PLINK 2": (
        make_table(["#IID", "PHENO1", "PHENO2"], lambda i, y, k: (i, y + 1, 1)),
        "columns PHENO1 and PHENO2: expected --label-column to name one",
    ),
    "a covariate": (
        make_table(["eid", "sex", "batch"], lambda i, y, k: (i, 1, y)),
        "which column is the label? expected --label-column",
    ),
    "no label in the first line": (
        make_table(None, lambda i, y, k: (i, y if k else "unknown")),
        "its first line, P005, unknown, is of an individual and has no value",
    ),
    "a workbook": ("PK\x03\x04\0\0", "an Excel workbook: expected text"),
    "no text": ("a\0b\0\0", "found 0x00, expected text"),
    "nothing": ("\n\n", "labels is empty"),
    "nothing but commas": (",,\n,,\n", "labels is empty"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_run__refuses_labels(kind, place, capsys):
    text, message = REFUSED[kind]
    (place / "x.vcf").write_text(VCF)
    (place / "labels").write_text(text)
    assert run("x.vcf", "--labels", "labels") == 2
    check_refused(place, capsys, message)


@pytest.mark.parametrize("options", [[], ["--id-column", "eid"]])
def test_run__a_number_of_the_row_may_be_an_id(options, place, capsys):
    number = rename(lambda name: str(int(name[1:]) + 1))
    (place / "x.vcf").write_text(number)
    table = make_table(
        ("id", "eid", "case"), lambda i, y, k: (k + 1, int(i[1:]) + 1, y)
    )
    (place / "labels").write_text(table)
    assert run("x.vcf", "--labels", "labels", *options) == (0 if options else 2)
    if options:
        check_right(place)
    else:
        check_refused(place, capsys, "id and eid all hold ids")


def test_run__counts_who_is_left_out(place):
    (place / "x.vcf").write_text(VCF)
    table = make_table(
        ("eid", "case"),
        lambda i, y, k: (i if k % 4 else f"X{i}", "NA" if k == 1 else y),
    )
    (place / "labels").write_text(table)
    assert run("x.vcf", "--labels", "labels") == 0
    assert check_right(place, n=29)["counted"] == {
        "genotyped individuals have no label": 11,
        "labelled individuals have no genotypes": 10,
    }


FAMILY_TABLES = {
    "header": (PHENO, []),
    "no header": (PHENO.split("\n", 1)[1], []),
    "tabs": ("#" + PHENO.replace(" ", "\t"), []),
    "blanks": (PHENO.replace(" ", " \t "), []),
    "joined": (
        "sample,case\n" + "".join(f"{f}_{i},{int(y) - 1}\n" for f, i, y in PEOPLE),
        [],
    ),
    "other names": (
        "house,person,case\n"
        + "".join(f"{f},{i},{int(y) - 1}\n" for f, i, y in PEOPLE),
        [],
    ),
    "named": (
        "house,x,no,case\n"
        + "".join(f"{f},0,{i},{int(y) - 1}\n" for f, i, y in PEOPLE),
        ["--id-column", "house,no"],
    ),
}


@pytest.mark.parametrize("kind", FAMILY_TABLES)
def test_run__iids_that_repeat_between_families(kind, place):
    copy(FAMILIES, place)
    text, options = FAMILY_TABLES[kind]
    (place / "labels").write_text(text)
    assert run("x.bed", "--labels", "labels", *options) == 0
    check_right(place)


def write_fam(path, code, encode=str.encode):
    """Write the .fam file with labels, from a control 1 and a case 2."""
    of = {(family, person): label for family, person, label in PEOPLE}
    rows = [
        row.split() for row in (CASES / FAMILIES / "x.fam").read_text().splitlines()
    ]
    lines = [" ".join([*row[:5], code(of[row[0], row[1]])]) for row in rows]
    path.write_bytes(encode("\n".join(lines) + "\n"))


CODES = {
    "2": str,
    "2.0": "{}.0".format,
    "%e": lambda label: f"{int(label):e}",
    "more columns": "{} 3.5".format,
    "words": {"1": "control", "2": "case"}.get,
}


@pytest.mark.parametrize("code", CODES)
def test_run__phenotypes_of_a_fam_file(code, place):
    copy(FAMILIES, place)
    write_fam(place / "x.fam", CODES[code])
    assert run("x.bed") == 0
    check_right(place)


def test_run__says_that_0_is_missing_where_1_and_2_are(place):
    (place / "x.vcf").write_text(VCF)
    table = make_table(["eid", "t2d"], lambda i, y, k: (i, y + 1 if k > 3 else 0))
    (place / "labels").write_text(table)
    assert run("x.vcf", "--labels", "labels") == 0
    (entry,) = check_right(place, n=36)["assumed"]
    assert "0 missing" in entry["taken"]


@pytest.mark.parametrize("first", ["x.vcf", "y.vcf"])
def test_run__one_of_two_files_joins_fid_and_iid(first, place):
    (place / "x.vcf").write_text(VCF)
    joined = rename(lambda name: f"{name}_{name}").replace("\trs", "\ty")
    (place / "y.vcf").write_text(joined.replace("\n1\t", "\n2\t"))
    (place / "labels").write_text(EID)
    other = {"x.vcf", "y.vcf"} - {first}
    assert run(first, *other, "--labels", "labels") == 0
    check_right(place)


def test_run__a_prefix_of_files_that_are_not_read(place, capsys):
    (place / "x.ped").write_text("f a 0 0 1 2 A G A A\nf b 0 0 2 1 A A 0 0\n")
    assert run("x") == 2
    check_refused(place, capsys, "x.ped is PLINK's .ped text", "plink --ped x.ped")


def test_run__a_fam_file_of_0_and_1_has_no_cases(place, capsys):
    copy(FAMILIES, place)
    write_fam(place / "x.fam", {"1": "0", "2": "1"}.get)
    assert run("x.bed") == 2
    check_refused(place, capsys, "x.fam: labels are", "no case; expected 1 and 2")
    shutil.copy(place / "x.fam", place / "y.fam")
    assert run("x.bed", "--labels", "y.fam") == 2
    check_refused(place, capsys, "y.fam: labels are")
    assert run("x.bed", "--1") == 0
    check_right(place)


@pytest.mark.parametrize("missing", ["0", "-9", "NA", "nan", ".", "-9.0"])
def test_convert_labels__missing_in_plinks_files(missing):
    found = convert_labels(["1", missing, "2"], "x.fam", "plink")
    assert found.tolist() == [0, -1, 1]


ENCODINGS = {
    "gzip": lambda text: gzip.compress(text.encode()),
    "CR LF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 BE": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without mark": lambda text: text.encode("utf-16-le"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "UTF-16 CR LF gzip": lambda text: gzip.compress(
        text.replace("\n", "\r\n").encode("utf-16")
    ),
}


@pytest.mark.parametrize("kind", ENCODINGS)
def test_run__text_of_any_encoding(kind, place):
    encode = ENCODINGS[kind]
    copy(FAMILIES, place)
    write_fam(place / "x.fam", str, encode)
    for name in ("x.bim", "x.pheno"):
        (place / name).write_bytes(encode((CASES / FAMILIES / name).read_text()))
    (place / "variants").write_bytes(encode("rs1\nrs2\n"))
    seen, folds = dict.fromkeys("12", 0), ""
    for family, person, label in PEOPLE:
        folds += f"{family} {person} {seen[label] % 2}\n"
        seen[label] += 1
    (place / "folds").write_bytes(encode(folds))
    options = ["--variants", "variants", "--fold-file", "folds"]
    assert run("x.bed", "--labels", "x.pheno", *options) == 0
    assert check_right(place)["assumed"] == []


def test_run__western_letters_are_assumed(place):
    (place / "x.vcf").write_text(rename(lambda name: f"{name}\u00e4"))
    table = make_table(("eid", "case"), lambda i, y, _: (f"{i}\u00e4", y))
    (place / "labels").write_bytes(table.encode("latin-1"))
    assert run("x.vcf", "--labels", "labels") == 0
    (entry,) = check_right(place)["assumed"]
    assert entry["taken"] == "Windows-1252"


def test_run__companions_of_another_stem(place):
    copy(FAMILIES, place)
    (place / "x.bim").rename(place / "variants.bim")
    write_fam(place / "people.fam", str)
    (place / "x.fam").unlink()
    assert run("x.bed", "--fam", "people.fam", "--bim", "variants.bim") == 0
    inputs = {one["path"] for one in check_right(place)["inputs"]}
    assert inputs == {"x.bed", "people.fam", "variants.bim"}


SAMPLES = (CASES / "gen_of_bcftools_with_samples_file/x.samples").read_text()
IDS = [line.split()[1] for line in SAMPLES.splitlines()[2:]]
NAMED = {
    "samples": SAMPLES,
    "psam": "#IID\tSEX\n" + "".join(f"{name}\t1\n" for name in IDS),
    "fam": "".join(f"0 {name} 0 0 0 -9\n" for name in IDS),
    "list": "\n".join(IDS),
    "qctool": "ID missing\n0 C\n" + "".join(f"{name} 0\n" for name in IDS),
    "constant": "ID_1 ID_2 missing\n0 0 0\n" + "".join(f"{i} 0 0\n" for i in IDS),
}


@pytest.mark.parametrize("kind", NAMED)
def test_run__sample_file_names_the_individuals(kind, place):
    copy("gen_of_bcftools_with_samples_file", place)
    (place / "x.samples").unlink()
    (place / f"people.{kind}").write_text(NAMED[kind])
    options = ["--labels", "labels.tsv", "--sample-file", f"people.{kind}"]
    assert run("x.gen", *options) == 0
    inputs = {one["path"] for one in check_right(place)["inputs"]}
    assert inputs == {"x.gen", "labels.tsv", f"people.{kind}"}


WRONG_COMPANIONS = {
    "nobody is named": (["x.gen"], "x.gen names no individuals, but labels.tsv does"),
    "one more": (["x.gen", "--sample-file", "more"], "more names 41 individuals"),
    "of VCF": (["x.vcf", "--sample-file", "list"], "--sample-file goes with BGEN"),
    "of no .bed": (["x.gen", "--fam", "list"], "--fam goes with a .bed file"),
    "two of one": (
        ["x.gen", "--sample-file", "list", "--sample-file", "list"],
        "names 2 files: expected one, or one for each of 1 files",
    ),
}


@pytest.mark.parametrize("kind", WRONG_COMPANIONS)
def test_run__refuses_companions(kind, place, capsys):
    copy("gen_of_bcftools_with_samples_file", place)
    (place / "x.samples").unlink()
    (place / "x.vcf").write_text(VCF)
    (place / "list").write_text("\n".join(IDS))
    (place / "more").write_text("\n".join([*IDS, "P999"]))
    words, message = WRONG_COMPANIONS[kind]
    assert run(*words, "--labels", "labels.tsv") == 2
    check_refused(place, capsys, message)


@pytest.mark.parametrize("mark", ["utf-8", "utf-8-sig", "utf-16"])
def test_run__sample_file_of_a_table(mark, place, capsys):
    lines = [line.split() for line in VCF.splitlines() if not line.startswith("##")]
    copies = {"0/0": "0", "0/1": "1", "1/1": "2"}
    columns = [[row[2], *(copies[call] for call in row[9:])] for row in lines[1:]]
    rows = zip(*columns, ["Class", *(str(k % 2) for k in range(40))], strict=True)
    (place / "x.tsv").write_text("\n".join(map("\t".join, rows)) + "\n", mark)
    (place / "list").write_text("\n".join(lines[0][9:]))
    (place / "labels").write_text(EID)
    options = ["--labels", "labels", "--sample-file", "list"]
    assert run("x.tsv", *options[:2]) == 2
    check_refused(place, capsys, "x.tsv names no individuals, but labels does")
    assert run("x.tsv", *options) == 0
    check_right(place)


def test_run__two_files_beside_genotypes(place, capsys):
    copy("gen_of_bcftools_with_samples_file", place)
    shutil.copy(place / "x.samples", place / "x.sample")
    assert run("x.gen", "--labels", "labels.tsv") == 2
    check_refused(place, capsys, "x.sample and x.samples beside it")


def test_run__by_position_where_nobody_is_named(place):
    copy("gen_of_bcftools_with_samples_file", place)
    (place / "x.samples").unlink()
    (place / "labels").write_text("".join(f"{TRUTH[name]}\n" for name in IDS))
    assert run("x.gen", "--labels", "labels") == 0
    assumed = {entry["what"]: entry for entry in check_right(place)["assumed"]}
    entry = assumed["who is who"]
    assert (entry["taken"], entry["option"]) == ("by position", "--sample-file")


def test_run__companion_whose_both_ids_are_fid_and_iid_joined(place):
    # bcftools convert --gensample, and plink --double-id, of a VCF file of PLINK
    copy(FAMILIES, place)
    rows = [row.split() for row in (place / "x.fam").read_text().splitlines()]
    lines = (f"{r[0]}_{r[1]} {r[0]}_{r[1]} 0 0 0 -9\n" for r in rows)
    (place / "x.fam").write_text("".join(lines))
    assert run("x.bed", "--labels", "x.pheno") == 0
    check_right(place)


def test_run__genotype_files_that_join_fid_and_iid(place):
    copy(FAMILIES, place)
    write_fam(place / "x.fam", str)
    rows = [line.split() for line in (place / "x.fam").read_text().splitlines()]
    names = [f"{row[0]}_{row[1]}" for row in rows]
    of = dict(zip((f"P{k:03d}" for k in range(40)), names, strict=True))
    (place / "y.vcf").write_text(rename(of.get).replace("\trs", "\tother"))
    assert run("x.bed", "y.vcf") == 0
    check_right(place)


def test_run__bgen_carries_the_labels_of_its_sample_file(place):
    copy("bgen_ids_are_fid_iid", place)
    assert run("x.bgen") == 0
    check_right(place)


def test_run__bgen_beside_a_file_of_others(place):
    copy("bgen_ids_are_fid_iid", place)
    (place / "x.sample").rename(place / "labels.sample")
    (place / "x.sample").write_text("\n".join(f"Q{k}" for k in range(40)))
    assert run("x.bgen", "--labels", "labels.sample") == 0
    (entry,) = check_right(place)["assumed"]
    assert (entry["what"], entry["taken"]) == ("who is in x.bgen", "as it says")


def test_plan__refuses_what_a_run_refuses(place, capsys):
    (place / "x.vcf").write_text(VCF)
    (place / "labels").write_text(REFUSED["two columns"][0])
    assert run("x.vcf", "--labels", "labels", "--plan") == 2
    check_refused(place, capsys, "a and b all hold ids")
    assert run("x.vcf", "--labels", "labels", "--plan", "--id-column", "a") == 0


def test_read_people__of_bsc_names_nobody(place):
    header = "ID_1 ID_2 missing bin1\n0 0 0 B\n"
    (place / "x.sample").write_text(header + "$ $ $ 1\n$ $ $ 0\n")
    people = read_people("x.sample", 2, "x.gz")
    assert (people.individuals, people.phenotypes) == (None, ("1", "0"))


def test_read_labels__headers_of_plink_and_of_oxford(place):
    (place / "a").write_text("#FID\tIID\tPHENO1\nf\ta\t2\nf\tb\t1\n")
    assert read_labels("a") == (["a", "b"], ["2", "1"])
    (place / "b").write_text("ID_1 ID_2 missing pheno\n0 0 0 B\na 1 0 1\nb 2 0 0\n")
    assert read_labels("b") == (["1", "2"], ["1", "0"])


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["7.0", "8.00"], ["7", "8"]),
        (["1e+05", "7"], ["100000", "7"]),
        (["1.2E7"], ["12000000"]),
        (["1.23457E+11"], None),  # Excel leaves digits out
        (["7.5"], None),
        (["7", "8"], None),
        (["007.0", "P8"], None),
    ],
)
def test_convert_numbers__never_loses_a_digit(texts, numbers):
    assert convert_numbers(texts) == numbers


def test_plink__codes_a_fam_file_of_0_and_1_as_we_do(place):
    plink = shutil.which("plink2")
    if plink is None:
        pytest.skip("plink2 is not installed")
    copy(FAMILIES, place)
    write_fam(place / "x.fam", {"1": "0", "2": "1"}.get)
    words = [plink, "--bfile", "x", "--freq", "--out", "x", "--threads", "1"]
    said = subprocess.run(words, capture_output=True, text=True).stdout
    assert "0 cases, 20 controls" in said


def test_keep_individuals__keeps_order_labels_and_columns():
    columns = [np.array([4, 0, 2]), np.array([1, 2, 0])]
    match = Match(("a", "b", "c"), np.array([1, 0, 1], np.int8), columns, ["noted"])
    kept = keep_individuals(match, np.array([True, False, True]))
    assert kept.individuals == ("a", "c")
    assert kept.is_case.tolist() == [1, 1]
    assert [column.tolist() for column in kept.columns] == [[4, 2], [1, 0]]
    assert kept.notes == ["noted"]
