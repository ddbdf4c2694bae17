"""A run as ISA-Tab for MetaboLights; our readers and those of the repositories."""

import json
from pathlib import Path

import pytest

from hpc_connector.catalogue.repositories import maf
from hpc_connector.catalogue.repositories.isatab import read_isatab
from hpc_connector.catalogue.repositories.mwtab import read_mwtab
from hpc_connector.catalogue.repositories.submission import (
    PROTOCOLS,
    Words,
    save_submission,
)
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from metabolite_annotation import schema
from test_repositories import MTBLS, STUDIES, run

HEADER = schema.TABLE.names
NAME = "MTBLSXXXX_MSImaging_negative__metabolite_profiling"
RECORD = {
    "format_version": 1,
    "program": "metabolite-annotation",
    "version": "0.3.0",
    "status": "done",
    "parameters": {},
    "inputs": [
        {"path": "/secret/place/tissue.imzML", "bytes": 1},
        {"path": "/secret/place/tissue.ibd", "bytes": 1},
    ],
    "dataset": {
        "name": "tissue",
        "width": 8,
        "height": 6,
        "mz_range": [99.25990060079181, 741.59],
        "pixel_size_um": [50.0, 40.0],
        "scan": {"scan_type": "horizontal_line"},
    },
    "search": {
        "polarity": "negative",
        "instrument": "FTICR",
        "instrument_from": "assumed",
    },
    "outputs": ["annotations.tsv"],
}
ROWS = [
    {"adduct": "-H", "molecule_names": 'glucose; \u2028fructose; 5"-x', "fdr": "0.04"},
    {"adduct": "+Cl", "molecule_names": '"quoted"', "fdr": "0.09", "fdr_level": "0.1"},
    {"adduct": "[M]-", "molecule_names": "", "fdr": "0.2", "fdr_level": "0.2"},
]
USUAL = {
    "formula": "C6H12O6",
    "database": "hmdb",
    "mz": "179.0561",
    "mz_err_abs": "-0.00012",
    "score": "0.9",
    "fdr_level": "0.05",
    "total_intensity": "1234.5",
    "molecule_ids": "HMDB0000122; HMDB0000660",
}


@pytest.fixture
def results(tmp_path):
    """Return the folder of a run of annotations."""
    folder = tmp_path / "results"
    folder.mkdir()
    put(folder)
    return folder


def put(folder, rows=ROWS, **record):
    (folder / "manifest.json").write_text(json.dumps(RECORD | record))
    lines = [HEADER, *([(USUAL | row).get(n, "") for n in HEADER] for row in rows)]
    text = "".join("\t".join(line) + "\n" for line in lines)
    (folder / "annotations.tsv").write_text(text, "utf-8")


def read_tsv(path):
    return [line.split("\t") for line in path.read_text("utf-8").split("\n")[:-1]]


def test_schema__has_the_columns_of_a_maf_file():
    assert {*maf.NUMBERS, *maf.TEXTS} <= set(HEADER)


def test_export_isatab__writes_what_the_run_knows(tmp_path, results, capsys):
    out = tmp_path / "new" / "isatab"
    words = ("export", "--isatab", out, "--run", results)
    code, said, _ = run(capsys, f"{tmp_path}/none.sqlite", *words)
    assert code == 0
    assert "2 annotations at an FDR of 0.1, 1 above it are left out" in said
    assert "Study Title" in said
    assert "Scan polarity" not in said
    header, *rows = read_tsv(out / f"m_{NAME}_v2_maf.tsv")
    assert header == [*maf.COLUMNS, "tissue"]
    assert len(maf.COLUMNS) == 21
    first = dict(zip(header, rows[0], strict=True))
    assert {name: value for name, value in first.items() if value} == {
        "database_identifier": "HMDB0000122|HMDB0000660",
        "chemical_formula": "C6H12O6",
        "metabolite_identification": 'glucose|\u2028fructose|5"-x',
        "mass_to_charge": "179.055980",
        "modifications": "[M-H]-",
        "charge": "-1",
        "database": "hmdb",
        "search_engine": "metabolite-annotation 0.3.0",
        "search_engine_score": "0.9",
        "tissue": "1234.5",
    }
    assert rows[1][4] == '"""quoted"""'
    header, row = read_tsv(out / f"a_{NAME}.txt")
    told = dict(zip(header, row, strict=True))
    assert told["Parameter Value[Scan m/z range]"] == "99.2599-741.5900"
    assert told["Parameter Value[Pixel size y]"] == "40"
    assert told["Parameter Value[Mass analyzer]"] == ""  # it was assumed
    assert told["Raw Spectral Data File"] == "FILES/tissue.ibd"
    assert not any("secret" in path.read_text() for path in out.iterdir())


def test_export_isatab__reads_back_with_our_reader(tmp_path, results):
    facts = {"organism": "Mus musculus", "organism_part": "liver", "instrument": "X"}
    out = tmp_path / "isatab"
    study = MTBLS.partition(":")[2]
    found = save_submission(
        results,
        out,
        study=study,
        fdr=0.5,
        facts=facts,
        words=Words('"T" of livers', "D"),
    )
    assert (found.annotations, found.left_out) == (3, 0)
    assert "Organism" not in found.empty
    back = read_isatab(out)
    assert (back.about.title, back.about.description) == ('"T" of livers', "D")
    wanted = {**facts, "identifier": MTBLS, "samples": "1", "polarity": "negative"}
    assert wanted.items() <= back.facts.items()
    assert sorted(back.missing) == ["FILES/tissue.ibd", "FILES/tissue.imzML"]
    last = read_tsv(next(out.glob("m_*")))[-1]
    assert (last[4], last[7], last[11]) == ("C6H12O6", "[M]-", "Mus musculus")


def test_export_isatab__refuses_what_it_cannot_write(tmp_path, results, capsys):
    out = tmp_path / "isatab"
    words = ("export", "--isatab", out, "--run", results)
    code, _, err = run(capsys, f"{tmp_path}/none.sqlite", *words, "--fdr", "0.01")
    assert (code, "no annotation at an FDR of 0.01" in err) == (2, True)
    for name in ("mine", "MTBLS1/../x"):
        with pytest.raises(SystemExit) as caught:
            run(capsys, "none.sqlite", *words, "--study", name)
        assert caught.value.code == 2
        assert "expected MTBLS or REQ" in capsys.readouterr().err
    assert not out.exists()


def test_export_isatab__refuses_runs_that_have_no_annotations(tmp_path, results):
    def export():
        save_submission(results, tmp_path / "o", study="MTBLS1", fdr=0.1, facts={})

    for change, said in (
        ({"status": "running"}, "done and not encrypted"),
        ({"search": {"order": 2, "folds": 10}}, "expected a run of annotations"),
        ({"rows": [{"score": "NA"}]}, "line 2: score NA: expected a number"),
    ):
        put(results, **change)
        with pytest.raises(BadInput, match=said):
            export()
    put(results)
    path = results / "annotations.tsv"
    path.write_text(path.read_text() + "short\n")
    with pytest.raises(BadInput, match="line 5: 1 fields: expected"):
        export()
    path.write_text("x\n")
    with pytest.raises(BadInput, match="line 1: has no column adduct"):
        export()
    path.rename(results / "annotations.tsv.c4gh")
    with pytest.raises(BadInput, match="not encrypted"):
        export()
    assert main(["catalog", "export", "--isatab", str(tmp_path / "o")]) == 2


# Peers


def test_metabolights_utils__reads_what_we_write_without_a_word(tmp_path, results):
    from metabolights_utils.isatab import Reader

    out = tmp_path / "isatab"
    save_submission(
        results, out, study="MTBLSXXXX", fdr=0.5, facts={}, words=Words("T")
    )
    found = Reader.get_investigation_file_reader().read(out / "i_Investigation.txt")
    (study,) = found.investigation.studies
    assert found.parser_report.messages == []
    assert (study.title, study.file_name) == ("T", "s_MTBLSXXXX.txt")
    assert [one.file_name for one in study.study_assays.assays] == [f"a_{NAME}.txt"]
    protocols = {p.name: len(p.parameters) for p in study.study_protocols.protocols}
    assert protocols == {name: len(names) for name, names in PROTOCOLS.items()}
    for pattern, make in (
        ("s_*.txt", Reader.get_sample_file_reader),
        ("a_*.txt", Reader.get_assay_file_reader),
        ("m_*.tsv", Reader.get_assignment_file_reader),
    ):
        (path,) = out.glob(pattern)
        page = make(results_per_page=100).get_page(path)
        assert page.parser_report.messages == []
        table = page.isa_table_file.table
        assert table.total_row_count == len(read_tsv(path)) - 1
    assert table.columns == [*maf.COLUMNS, "tissue"]
    assert table.data["charge"] == ["-1"] * 3


def test_metabolights_utils__reads_a_study_as_we_do():
    from metabolights_utils.isatab import Reader

    ours = read_isatab(STUDIES / "isatab").facts
    for prefix, make, name in (
        ("s_", Reader.get_sample_file_reader, "Characteristics[Organism]"),
        ("a_", Reader.get_assay_file_reader, "Parameter Value[Instrument]"),
    ):
        (path,) = (STUDIES / "isatab").glob(f"{prefix}*")
        table = make(results_per_page=100).get_page(path).isa_table_file.table
        assert table.total_row_count == 2
        fact = {"s_": "organism", "a_": "instrument"}[prefix]
        assert set(table.data[name]) == {ours[fact]}


@pytest.mark.parametrize("ending", ["txt", "json"])
def test_mwtab__reads_a_study_as_we_do(tmp_path, ending):
    import mwtab

    path = STUDIES / "mwtab" / f"ST424242_AN424242.{ending}"
    plain = Path(tmp_path / path.name)  # it takes UTF-8 alone, and one colon a factor
    text = path.read_bytes().decode("latin-1" if ending == "txt" else "utf-8")
    text = text.replace("Time:8:00", "Time:8 h").replace("Time:9:30", "Time:9 h")
    plain.write_text(text, "utf-8")
    (theirs,) = mwtab.read_files(str(plain))
    study = read_mwtab(path)
    ours, about = study.facts, study.about
    assert ours["identifier"] == f"workbench:{theirs.study_id}"
    assert ours["analysis"] == theirs.analysis_id
    assert about.title == theirs["STUDY"]["STUDY_TITLE"]
    assert about.description == theirs["STUDY"]["STUDY_SUMMARY"]
    assert ours["institution"] == theirs["STUDY"]["INSTITUTE"]
    assert ours["organism"] == theirs["SUBJECT"]["SUBJECT_SPECIES"]
    assert ours["polarity"] == theirs["MS"]["ION_MODE"].lower()
    assert ours["samples"] == str(len(theirs["SUBJECT_SAMPLE_FACTORS"]))
    assert ours["metabolites"] == str(len(theirs["MS_METABOLITE_DATA"]["Data"]))
