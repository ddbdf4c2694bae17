"""Databases of what HMDB, ChEBI and LIPID MAPS ship: what is taken, and what is not."""

import gzip
import json
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from hpc_connector.learner.annotation.formulas import read_formula
from hpc_connector.loader.spectra.molecules import read_database
from metabolite_annotation.databases import molecules, sources
from metabolite_annotation.databases.hmdb import read_hmdb
from metabolite_annotation.databases.molecules import LeftOut, Molecule, make_row
from metabolite_annotation.databases.sdf import read_sdf
from metabolite_annotation.program import main

DATA = Path(__file__).parent / "data/sources"
WATER = ("CHEBI:15377", "water", "H2O")
ACID = ("CHEBI:15366", "acetic acid", "C2H4O2")
CHOLINE = ("CHEBI:15354", "choline", "C5H14NO")
PC = "1-hexadecanoyl-2-(9Z-octadecenoyl)-sn-glycero-3-phosphocholine"
LIPIDS = [
    ("LMFA01010001", "Palmitic acid", "C16H32O2"),
    ("LMGP01010005", PC, "C42H82NO8P"),
    ("LMST01010001", "Cholesterol", "C27H46O"),
]
NOT_OF_CHEBI = {
    molecules.NO_FORMULA: 1,
    molecules.POLYMER: 1,
    molecules.GENERIC: 1,
    molecules.MIXED: 1,
    molecules.CHARGED: 1,
}
KNOWN = {  # files: rows, and what is left out
    ("hmdb_metabolites.xml",): (
        [
            ("HMDB0000001", "1-Methylhistidine", "C7H11N3O2"),
            ("HMDB0000122", "D-Glucose <\u03b2>", "C6H12O6"),
            ("HMDB0001366", 'Purine, "the" base', "C5H4N4"),
        ],
        {molecules.NO_FORMULA: 1, molecules.CHARGED: 1},
    ),
    ("ChEBI_3stars.sdf",): ([WATER, ACID], NOT_OF_CHEBI),
    ("ChEBI_complete_3star.sdf",): ([WATER, ACID], NOT_OF_CHEBI),
    ("compounds.tsv", "chemical_data.tsv"): (
        [WATER, ACID],
        {molecules.MERGED: 1} | NOT_OF_CHEBI,
    ),
    ("chemical_data.2024.tsv", "compounds.2024.tsv"): (
        [("CHEBI:15377", '"heavy" or plain water', "H2O"), ACID],
        {molecules.MERGED: 1, molecules.NO_FORMULA: 1, molecules.CHARGED: 1},
    ),
    ("LMSD.sdf",): (LIPIDS, {molecules.CHARGED: 1}),
    ("LMSD.tsv",): (LIPIDS, {}),
}


def convert(capsys, out, *words):
    """Convert files, and return the exit code and what was printed."""
    given = ["databases", "convert", *map(str, words), "--out", str(out)]
    code = main(given)
    return code, capsys.readouterr()


def read_rows(path):
    """Return the rows of a database as a run reads them."""
    found = read_database(str(path), read_formula)
    assert not found.counted
    return list(zip(found.id, found.name, found.formula, strict=True))


def cut(data, size):
    """Return bytes in blocks."""
    return [data[k : k + size] for k in range(0, len(data), size)]


@pytest.mark.parametrize("names", KNOWN, ids=" ".join)
def test_convert__gives_what_a_run_reads(names, tmp_path, capsys):
    rows, left_out = KNOWN[names]
    out = tmp_path / "out.tsv"
    code, said = convert(capsys, out, *(DATA / name for name in names), "--json")
    assert (code, said.err) == (0, "")
    assert read_rows(out) == rows
    n_all = len(rows) + sum(left_out.values())
    counts = {"molecules": n_all, "written": len(rows), "formulas": len(rows)}
    assert json.loads(said.out) == {"out": str(out), **counts, "left_out": left_out}


def test_convert__says_what_is_left_out_and_shows_one(tmp_path, capsys):
    _, said = convert(capsys, tmp_path / "out.tsv", DATA / "ChEBI_3stars.sdf")
    assert said.out.splitlines() == [
        f"{tmp_path}/out.tsv: 2 of 7 molecules, 2 formulas",
        "left out: 1 without a formula (the first: CHEBI:24431)",
        "left out: 1 polymers (the first: CHEBI:28017 (C12H20O10)n)",
        "left out: 1 with R groups or other placeholders "
        "(the first: CHEBI:33709 C2H4NO2R)",
        "left out: 1 of several parts, such as salts and hydrates "
        "(the first: CHEBI:31440 CuO4S.5H2O)",
        "left out: 1 charged (the first: CHEBI:15354 C5H14NO)",
    ]


@pytest.mark.parametrize("name", ["hmdb_metabolites.xml", "LMSD.sdf", "LMSD.tsv"])
def test_convert__reads_gzip_and_zip(name, tmp_path, capsys):
    data = (DATA / name).read_bytes()
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
    with zipfile.ZipFile(tmp_path / "shipped.zip", "w") as archive:
        archive.writestr("README.md", "what this is")
        archive.writestr(f"folder/{name}", data)
    written = []
    for source in (DATA / name, tmp_path / f"{name}.gz", tmp_path / "shipped.zip"):
        assert convert(capsys, tmp_path / "out.tsv", source)[0] == 0
        written.append((tmp_path / "out.tsv").read_bytes())
    assert written[0] == written[1] == written[2]


def test_convert__takes_charged_molecules_if_asked(tmp_path, capsys):
    out = tmp_path / "out.tsv"
    code, _ = convert(capsys, out, DATA / "ChEBI_3stars.sdf", "--charged")
    assert code == 0
    assert read_rows(out) == [WATER, CHOLINE, ACID]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_readers__do_not_depend_on_blocks(size):
    xml = (DATA / "hmdb_metabolites.xml").read_bytes()
    assert list(read_hmdb("x", cut(xml, size))) == list(read_hmdb("x", [xml]))
    for name in ("ChEBI_3stars.sdf", "ChEBI_complete_3star.sdf"):
        sdf = (DATA / name).read_bytes()
        found = list(read_sdf("x", cut(sdf, size)))
        assert found == list(read_sdf("x", [sdf]))
        assert len(found) == 7


def test_read_compounds__make_an_accession_where_there_is_none(tmp_path, capsys):
    text = "id\tname\tparent_id\n15377\twater\t\n"
    (tmp_path / "compounds.tsv").write_text(text)
    sources = tmp_path / "compounds.tsv", DATA / "chemical_data.tsv"
    assert convert(capsys, tmp_path / "out.tsv", *sources)[0] == 0
    assert read_rows(tmp_path / "out.tsv") == [WATER]


def test_read_hmdb__reads_a_file_of_one_entry():
    xml = (DATA / "hmdb_metabolites.xml").read_bytes()
    entry = xml[xml.index(b"<metabolite>") : xml.index(b"</metabolite>")]
    (found,) = read_hmdb("x", [entry + b"</metabolite>"])
    assert found == Molecule("HMDB0000001", "1-Methylhistidine", "C7H11N3O2", 0)


def test_readers__keep_no_entry():
    entry = (DATA / "hmdb_metabolites.xml").read_bytes().split(b'hmdb.ca">')[1]
    entry = entry.removesuffix(b"</hmdb>\n")
    xml = [b'<hmdb xmlns="http://www.hmdb.ca">', *[entry] * 100, b"</hmdb>"]
    sdf = [(DATA / "LMSD.sdf").read_bytes()] * 400
    for read, blocks, n in ((read_hmdb, xml, 500), (read_sdf, sdf, 1600)):
        tracemalloc.start()
        assert sum(1 for _ in read("x", blocks)) == n
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 150_000 < sum(map(len, blocks))


@pytest.mark.parametrize(
    ("formula", "charge", "reason"),
    [
        ("", 0, molecules.NO_FORMULA),
        ("null", 0, molecules.NO_FORMULA),
        ("C6H10O5(C6H10O5)n", 0, molecules.POLYMER),
        ("C3H4NO2R(C2H2NOR)n", 0, molecules.POLYMER),
        ("C10H12X", 0, molecules.GENERIC),
        ("*C2H4", 0, molecules.GENERIC),
        ("NaCl.H2O", 0, molecules.MIXED),
        ("C5H14NO+", None, molecules.CHARGED),
        ("C3H4O4(2-)", None, molecules.CHARGED),
        ("C2H3O2", -1, molecules.CHARGED),
        ("C2H3Qq", 0, molecules.UNREAD),
        ("C0", 0, molecules.UNREAD),
    ],
)
def test_make_row__says_why_there_is_none(formula, charge, reason):
    with pytest.raises(LeftOut) as left_out:
        make_row(Molecule("X1", "a name", formula, charge), with_charged=False)
    assert str(left_out.value) == reason
    assert reason in molecules.REASONS


@pytest.mark.parametrize("formula", ["Rb2O", "XeF2", "AlN", "RuO4"])
def test_make_row__knows_elements_from_placeholders(formula):
    row = make_row(Molecule("X1", " a\tname ", formula), with_charged=False)
    assert row == ("X1", "a name", formula)


def test_make_row__calls_what_has_no_name_by_its_id():
    assert make_row(Molecule("X1", "", "CH4"), with_charged=False)[1] == "X1"
    with pytest.raises(LeftOut, match=molecules.NO_ID):
        make_row(Molecule(" ", "methane", "CH4"), with_charged=False)


def write_bad(folder):
    """Write files that cannot be converted; return each with what is said of it."""
    xml = (DATA / "hmdb_metabolites.xml").read_bytes()
    sdf = (DATA / "LMSD.sdf").read_bytes()
    tsv = (DATA / "LMSD.tsv").read_bytes()
    with zipfile.ZipFile(folder / "two.zip", "w") as archive:
        archive.writestr("a.sdf", sdf)
        archive.writestr("b.sdf", sdf)
    with zipfile.ZipFile(folder / "cut.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.sdf", sdf)
    whole = (folder / "cut.zip").read_bytes()
    files = {
        "cut.xml": (xml[:-20], "is cut or no XML"),
        "cut.sdf": (sdf[:-20], "is cut: expected $$$$ at its end"),
        "cut.sdf.gz": (gzip.compress(sdf)[:-20], "is cut"),
        "cut.zip": (whole[:-40], "zip archive"),
        "proteins.xml": (b"<hmdb><protein/></hmdb>", "found none"),
        "wide.tsv": (tsv + b"1\t2\n", "line 5: 2 fields, expected 8"),
        "empty.sdf": (b"", "found nothing"),
        "words.txt": (b"some words\nand more", "found 'some words"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    said = {name: message for name, (_, message) in files.items()}
    return said | {"two.zip": "found a.sdf, b.sdf", "none.sdf": "cannot be read"}


def test_convert__refuses_in_one_line(tmp_path, capsys):
    for name, message in write_bad(tmp_path).items():
        code, said = convert(capsys, tmp_path / "out.tsv", tmp_path / name)
        assert (code, said.out) == (2, ""), name
        assert len(said.err.splitlines()) == 1, name
        assert message in said.err, name
        assert name in said.err
        assert not list(tmp_path.glob("out.tsv*"))


def test_convert__refuses_files_that_do_not_belong_together(tmp_path, capsys):
    for names in (["compounds.tsv"], ["LMSD.sdf", "LMSD.tsv"], ["LMSD.tsv"] * 2):
        out = tmp_path / "out.tsv"
        code, said = convert(capsys, out, *(DATA / name for name in names))
        assert code == 2
        assert "expected one file, or compounds.tsv and chemical_data.tsv" in said.err


def test_convert__refuses_a_place_that_cannot_be_written(tmp_path, capsys):
    out = tmp_path / "none" / "out.tsv"
    code, said = convert(capsys, out, DATA / "LMSD.tsv")
    assert code == 2
    assert said.err.count("\n") == 1
    assert f"expected a folder {out.parent} that is there" in said.err


def test_find_kind__is_by_content_alone():
    kinds = {
        "hmdb_metabolites.xml": sources.HMDB,
        "ChEBI_3stars.sdf": sources.SDF,
        "compounds.2024.tsv": sources.COMPOUNDS,
        "chemical_data.2024.tsv": sources.CHEMICAL_DATA,
        "LMSD.tsv": sources.TABLE,
    }
    for name, kind in kinds.items():
        assert sources.find_kind("x", (DATA / name).read_bytes()) == kind


def test_convert__never_writes_over_its_source(tmp_path, capsys):
    source = tmp_path / "mine.tsv"
    source.write_text("id\tname\tformula\n1\twater\tH2O\n2\todd\tQq\n")
    known = source.read_bytes()
    code = main(["databases", "convert", str(source), "--out", str(source)])
    assert code == 2
    assert "is a source: expected another file" in capsys.readouterr().err
    assert source.read_bytes() == known


def test_convert__of_a_name_with_nul_can_be_read(tmp_path):
    source, out = tmp_path / "x.tsv", tmp_path / "out.tsv"
    source.write_bytes(b"lm_id\tname\tformula\nLM1\twa\0ter\tH2O\n")
    assert main(["databases", "convert", str(source), "--out", str(out)]) == 0
    assert out.read_bytes() == b"id\tname\tformula\nLM1\twa ter\tH2O\n"
