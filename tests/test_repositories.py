"""Studies of METASPACE, MetaboLights and Metabolomics Workbench in a catalogue."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rocrate.rocrate import ROCrate

from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.graph.dcat import export_dcat
from hpc_connector.catalogue.graph.read import import_dcat
from hpc_connector.catalogue.graph.text import format_graph
from hpc_connector.catalogue.inputs import name_set
from hpc_connector.catalogue.lookup import get
from hpc_connector.catalogue.repositories.identifiers import read_identifier
from hpc_connector.catalogue.repositories.isatab import read_isatab
from hpc_connector.catalogue.repositories.metaspace import read_metaspace
from hpc_connector.catalogue.repositories.mwtab import read_mwtab
from hpc_connector.catalogue.repositories.study import (
    MOST_VALUES,
    clean,
    find_files,
    join,
)
from hpc_connector.catalogue.repositories.tables import read_table
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput

DATA = Path(__file__).parent / "data"
STUDIES = DATA / "repositories"
IMZML = DATA / "imzml" / "Example_Continuous.imzML"
MTBLS, METASPACE = "metabolights:MTBLS424242", "metaspace:2026-03-04_05h06m07s"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return where a new catalogue is made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"{tmp_path}/catalog.sqlite"


@pytest.fixture
def isatab(tmp_path):
    """Return a copy of the study of ISA-Tab."""
    return Path(shutil.copytree(STUDIES / "isatab", tmp_path / "isatab"))


def run(capsys, place, *words):
    """Return the code, the output and the errors of a command on a catalogue."""
    code = main(["catalog", *map(str, words), "--catalog", place])
    out, err = capsys.readouterr()
    return code, out, err


def put_imzml(folder, name):
    folder.mkdir(exist_ok=True)
    for ending in (".imzML", ".ibd"):
        shutil.copy(IMZML.with_suffix(ending), folder / f"{name}{ending}")


# Readers


def test_read_isatab__takes_latin_1_quotes_lines_in_a_field_and_comments():
    study = read_isatab(STUDIES / "isatab")
    about = study.about
    assert about.title == 'Lipids of "cold" and "warm" mouse livers'
    said = (
        "Two livers of mice, p < 0.05, # no comment but a line of a field; a tab too."
    )
    assert about.description == said
    assert (about.publisher, about.contact) == ("MetaboLights", "b.mueller@example.org")
    assert about.keywords == ("lipid", "imaging mass spectrometry")
    assert about.license == "https://creativecommons.org/publicdomain/zero/1.0/"
    assert study.facts == {
        "identifier": MTBLS,
        "record": "https://www.ebi.ac.uk/metabolights/MTBLS424242",
        "samples": "2",
        "assays": "1",
        "technology": "mass spectrometry",
        "factors": "Temperature",
        "institution": "Institute of Examples, Zürich",
        "doi": "10.1234/example",
        "released": "2026-03-04",
        "organism": "Mus musculus",
        "organism_part": "liver",
        "polarity": "positive",
        "instrument": "Thermo Q Exactive",
        "ion_source": "MALDI",
        "mass_analyzer": "orbitrap",
    }
    named = [f"FILES/liver{k}.{end}" for k in (1, 2) for end in ("ibd", "imzML")]
    assert sorted(study.missing) == [*sorted(named), "m_MTBLS424242_v2_maf.tsv"]
    assert [Path(one).name[:2] for one in study.files] == ["i_", "s_", "a_"]


@pytest.mark.parametrize("ending", ["txt", "json"])
def test_read_mwtab__of_text_and_of_json_tells_the_same(ending):
    study = read_mwtab(STUDIES / "mwtab" / f"ST424242_AN424242.{ending}")
    about = study.about
    assert (about.title, about.contact) == ("Steroids in serum", "st@example.org")
    assert about.description.endswith("a second line, which has the same name.")
    assert about.publisher == "Metabolomics Workbench"
    assert about.keywords == ("MS analysis",)
    assert study.facts == {
        "identifier": "workbench:ST424242",
        "record": "https://www.metabolomicsworkbench.org/data/DRCCMetadata.php?"
        "Mode=Study&StudyID=ST424242",
        "analysis": "AN424242",
        "project": "PR424242",
        "organism": "Homo sapiens",
        "taxonomy": "9606",
        "organism_part": "Serum",
        "polarity": "negative",
        "instrument": "Waters Xevo-TQ",
        "ion_source": "ESI",
        "technology": "MS",
        "samples": "2",
        "metabolites": "2",
        "factors": "Tissue/Fluid; Time",
        "institution": "Institute of Examples, Zürich",
        "doi": "10.21228/M8EXAMPLE",
        "released": "2026-03-04",
    }
    named = ["s1.mzML", "s2.mzML", "ST424242_AN424242_Results.txt"]
    assert study.missing == named


@pytest.mark.parametrize("ending", ["txt", "json"])
def test_read_mwtab__of_several_analyses_joins_what_they_say(tmp_path, ending):
    text = (STUDIES / "mwtab" / f"ST424242_AN424242.{ending}").read_bytes()
    other = text.replace(b"AN424242", b"AN424243").replace(b"NEGATIVE", b"POSITIVE")
    both = b'{"1": %b, "2": %b}' % (text, other) if ending == "json" else text + other
    path = tmp_path / f"both.{ending}"
    path.write_bytes(both)
    facts = read_mwtab(path).facts
    assert facts["analysis"] == "AN424242; AN424243"
    assert facts["polarity"] == "negative; positive"
    assert (facts["samples"], facts["metabolites"]) == ("2", "4")


def test_read_metaspace__takes_its_csv_and_the_form(tmp_path):
    study = read_metaspace(STUDIES / "metaspace")
    about = study.about
    assert (about.title, about.publisher) == ("Kidney, section 1", "METASPACE")
    assert about.contact == "user@example.org"
    assert about.description == (
        "Imaging mass spectrometry of Kidney of Mus musculus (mouse) "
        "(MALDI, Orbitrap, positive). Two sections."
    )
    assert study.facts == {
        "identifier": METASPACE,
        "record": "https://metaspace2020.org/dataset/2026-03-04_05h06m07s",
        "technology": "Imaging MS",
        "pixel_size": "50 x 40",
        "resolving_power": "140000 at m/z 400",
        "annotations": "2",
        "institution": "Institute of Examples",
        "organism": "Mus musculus (mouse)",
        "organism_part": "Kidney",
        "condition": "Wildtype",
        "matrix": "2,5-dihydroxybenzoic acid (DHB)",
        "polarity": "positive",
        "ion_source": "MALDI",
        "mass_analyzer": "Orbitrap",
    }
    form = json.loads((STUDIES / "metaspace" / "metadata.json").read_text())
    told = {"id": METASPACE.partition(":")[2], "name": "N", "group": {"name": "G"}}
    told["metadataJson"] = json.dumps(form)
    (tmp_path / "dataset.json").write_text(json.dumps(told))
    found = read_metaspace(tmp_path)  # as the API has it, with no annotations
    assert (found.about.title, found.facts["identifier"]) == ("N", METASPACE)
    assert found.facts["organism_part"] == "Kidney"


def test_read_metaspace__knows_the_identifier_by_the_folder(tmp_path):
    folder = tmp_path / "2026-03-04_05h06m07s"
    folder.mkdir()
    shutil.copy(STUDIES / "metaspace" / "metadata.json", folder)
    assert read_metaspace(folder).facts["identifier"] == METASPACE
    assert read_metaspace(folder).about.title is None


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])) | (
    st.text("a\"\n\t'#,; ")
)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5), st.sampled_from(["\t", ","]))
def test_read_table__gives_back_what_was_quoted(tmp_path_factory, rows, delimiter):
    path = tmp_path_factory.mktemp("t") / "t.txt"
    whole = [("x", "y"), *(("1" + a, b) for a, b in rows)]
    lines = (
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row)
        for row in whole
    )
    path.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")
    table = read_table(path, delimiter)
    found = [tuple(row.cells) for row in table.rows]
    assert found == [(a.strip(), b.strip()) for a, b in whole[1:]]


def test_clean__keeps_what_is_no_mark_of_html():
    assert clean("<p>a &lt; b</p><br/>c") == "a < b c"
    assert clean("if p<0.05 and i>3, <x> stays") == "if p<0.05 and i>3, <x> stays"
    assert [clean(text) for text in ("-", " N/A ", "none", "")] == [""] * 4
    values = [str(k) for k in range(MOST_VALUES + 2)]
    assert join([*values, "1"]).endswith("19; 2 more")


# Faults: one line with the file, and the line where there is one


def edit(path, old, new):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("i_", b"STUDY\r\n", b"STUDIES\r\n", "has no line STUDY"),
        ("i_", b"STUDY FACTORS", b"STUDY\r\nSTUDY FACTORS", "line 32: another study"),
        ("i_", b"STUDY ASSAYS", b'Comment[x]\t"open', "expected quotes"),
        ("i_", b"s_MTBLS424242.txt", b"s_other.txt", "line 23: s_other.txt is not"),
        ("i_", b"s_MTBLS424242.txt", b"../s.txt", "expected a file within"),
        ("a_", b"FILES/liver1.ibd", b"/etc/passwd", "line 2: /etc/passwd: expected a"),
        ("a_", b"FILES/liver2.ibd", b"../../x", "line 3: ../../x: expected a file"),
        ("a_", b"orbitrap\tFILES", b"orbitrap\tx\tFILES", "10 fields: expected 9"),
        ("s_", b"\xef\xbb\xbf", b"\0\0", "expected text"),
    ],
)
def test_read_isatab__says_what_is_wrong_and_where(isatab, name, old, new, said):
    (path,) = isatab.glob(f"{name}*")
    edit(path, old, new)
    with pytest.raises(BadInput, match=r"isatab.*") as caught:
        read_isatab(isatab)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"#METABOLOMICS", b"METABOLOMICS", "line 1: expected #METABOLOMICS"),
        (
            b"PR:INSTITUTE                     \t",
            b"PR:INSTITUTE ",
            "line 6: expected a",
        ),
        (b"S1\tTissue/Fluid:Serum | Time:8:00\tRAW", b"S1 RAW", "line 23: 3 fields"),
        (b"METABOLITES_END", b"", "expected METABOLITES_END"),
    ],
)
def test_read_mwtab__says_what_is_wrong_and_where(tmp_path, old, new, said):
    path = Path(shutil.copy(STUDIES / "mwtab" / "ST424242_AN424242.txt", tmp_path))
    edit(path, old, new)
    with pytest.raises(BadInput) as caught:
        read_mwtab(path)
    assert f"{path}" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1: it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("{}", "expected mwTab"),
        ("[1]", "expected mwTab"),
        ('{"METABOLOMICS WORKBENCH": {}, "SUBJECT_SAMPLE_FACTORS": 3}', "a list"),
        ("", "is empty"),
    ],
)
def test_read_mwtab__refuses_other_json(tmp_path, text, said):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        read_mwtab(path)


def test_read_mwtab__counts_rows_of_a_table_alone(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"METABOLOMICS WORKBENCH": {}, "MS_METABOLITE_DATA": {"Data": 5}}')
    assert "metabolites" not in read_mwtab(path).facts


@pytest.mark.parametrize("name", ["metadata", "metadataJson"])
def test_read_metaspace__refuses_a_form_that_is_no_json(tmp_path, name):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({name: "[" * 100_000}))
    with pytest.raises(BadInput, match=f"{name}: it is no JSON"):
        read_metaspace(tmp_path)


@pytest.mark.parametrize("name", ["of/link", "of", ".", "link", "../x"])
def test_find_files__refuses_what_lies_elsewhere(tmp_path, name):
    folder = tmp_path / "study"
    (folder / "of").mkdir(parents=True)
    (tmp_path / "x").write_text("secret")
    for link in (folder / "link", folder / "of" / "link"):
        link.symlink_to(tmp_path / "x")
    with pytest.raises(BadInput, match="expected a file within"):
        find_files(folder, [(name, "a table, line 2")])


def test_find_files__refuses_what_is_no_name(tmp_path):
    with pytest.raises(BadInput, match=r"a table, line 2: .* the name of a file"):
        find_files(tmp_path, [("a\0b", "a table, line 2")])


def test_read_metaspace__refuses_two_datasets_and_none(tmp_path):
    with pytest.raises(BadInput, match="expected one or the other"):
        read_metaspace(tmp_path)
    with pytest.raises(BadInput, match="expected a folder"):
        read_metaspace(tmp_path / "gone")
    path = Path(shutil.copy(STUDIES / "metaspace/metaspace_annotations.csv", tmp_path))
    text = path.read_text("utf-8")
    path.write_text(text + text.splitlines()[-1].replace("2026-", "2027-") + "\n")
    with pytest.raises(BadInput, match="2 datasets"):
        read_metaspace(tmp_path)
    path.write_text(text.replace("2026-03-04_05h06m07s", "mine"))
    with pytest.raises(BadInput, match="dataset mine: expected YYYY"):
        read_metaspace(tmp_path)


READERS = {"isatab": read_isatab, "metaspace": read_metaspace, "mwtab": read_mwtab}
FILES = sorted(path for path in STUDIES.rglob("*.*") if path.parent != STUDIES)


@given(
    st.sampled_from(FILES),
    st.integers(0, 3000),
    st.integers(0, 40),
    st.binary(max_size=8)
    | st.sampled_from([b'"', b"\t", b"\n", b"{", b"null,", b"[]"]),
)
def test_readers__of_damaged_files_say_so_or_read_them(
    tmp_path_factory, path, at, n_gone, new
):
    folder = tmp_path_factory.mktemp("d") / path.parent.name
    shutil.copytree(path.parent, folder)
    data = path.read_bytes()
    at %= len(data)
    (folder / path.name).write_bytes(data[:at] + new + data[at + n_gone :])
    is_file, study = path.parent.name == "mwtab", None
    said = str(folder)
    try:
        study = READERS[path.parent.name](folder / path.name if is_file else folder)
    except BadInput as error:
        said = str(error)
    assert str(folder) in said
    assert "\n" not in said
    if study:
        assert all(isinstance(one, str) and one for one in study.facts.values())
        assert all(Path(name).is_relative_to(folder) for name in study.files)


# In a catalogue


def test_add__of_isatab_has_its_files_and_find_knows_them(
    place, isatab, capsys, caplog
):
    put_imzml(isatab / "FILES", "liver1")
    words = ("add", "--id", "livers", "--from-isatab", isatab)
    code, _, _ = run(capsys, place, *words, "--publisher", "Lab", "--access", "public")
    lack = "m_MTBLS424242_v2_maf.tsv, FILES/liver2.ibd, FILES/liver2.imzML"
    assert code == 0
    assert caplog.messages[0].endswith(f"left out, for they are not there: {lack}")
    with open_catalog(place) as catalog:
        one = get(catalog, "livers")
    roles = [(each.role, Path(each.url).name[:7]) for each in one.objects]
    assert roles[3:] == [("spectra", "liver1."), ("metadata", "liver1.")]
    assert roles[0] == ("other", "i_Inves")
    assert [role for role, _ in roles[:3]] == ["other"] * 3
    told = (one.title, one.publisher, one.access)
    assert told == ('Lipids of "cold" and "warm" mouse livers', "Lab", "public")
    assert one.facts["pixels"] == "9"  # of a header, beside what the study says
    assert one.facts["samples"] == "2"
    assert run(capsys, place, "find", MTBLS)[1].startswith("livers@1  public  Lipids")
    assert run(capsys, place, *words)[1].endswith("as it was\n") is False  # publisher
    assert run(capsys, place, *words)[1].endswith("as it was\n")


def test_add__of_data_that_come_later_is_a_new_version(place, isatab, capsys):
    words = ("add", "--id", "livers", "--from-isatab", isatab)
    assert run(capsys, place, *words)[1].startswith("livers@1: 3 objects")
    put_imzml(isatab / "FILES", "liver2")
    assert run(capsys, place, *words)[1].startswith("livers@2: 5 objects")
    (isatab / "FILES" / "liver2.ibd").unlink()
    code, _, err = run(capsys, place, *words)  # it cannot be run, and so is not added
    assert (code, "liver2" in err) == (2, True)


def test_add__of_mwtab_and_metaspace_is_found_by_study_and_analysis(place, capsys):
    for words in (
        ("--id", "st", "--from-mwtab", STUDIES / "mwtab/ST424242_AN424242.txt"),
        ("--id", "kidney", "--from-metaspace", STUDIES / "metaspace"),
    ):
        assert run(capsys, place, "add", *words)[0] == 0
    for asked, found in {
        "workbench:ST424242": "st@1",
        "workbench:AN424242": "st@1",
        METASPACE: "kidney@1",
    }.items():
        told = json.loads(run(capsys, place, "find", asked, "--json")[1])
        assert (told["identifier"], told["datasets"]) == (asked, [found])
    assert run(capsys, place, "search", "Waters")[1].startswith("st@1")


def test_add__of_two_studies_or_none_is_refused(place, capsys, tmp_path):
    both = ("--from-isatab", STUDIES / "isatab", "--from-metaspace", STUDIES)
    code, _, err = run(capsys, place, "add", "--id", "x", *both)
    assert (code, "expected one of" in err) == (2, True)
    code, _, err = run(capsys, place, "add", "--id", "x", "--from-isatab", tmp_path)
    assert (code, "0 files i_*.txt" in err) == (2, True)
    gone = tmp_path / "gone"
    code, _, err = run(capsys, place, "add", "--id", "x", "--from-isatab", gone)
    assert (code, "gone: expected a folder of ISA-Tab" in err) == (2, True)
    assert not Path(place).exists()


def test_find__of_what_is_not_there_says_what_to_download(place, capsys):
    code, out, _ = run(capsys, place, "find", "metabolights:MTBLS313")
    assert code == 0
    assert "https://www.ebi.ac.uk/metabolights/MTBLS313" in out
    assert out.endswith("catalog add --id mtbls313 --from-isatab DIR\n")
    assert not Path(place).exists()  # nothing is made for a question


@pytest.mark.parametrize(
    "text",
    [
        *("MTBLS1", "metabolights:", "metabolights:MTBLS0", "metabolights:MTBLS٣"),
        *("metabolights:mtbls1", "workbench:ST12345", "workbench:PR000001"),
        *("metaspace:2021-13-04_05h06m07s", "metaspace:2021-03-04", "pride:PXD000001"),
        *("metaspace:2021-02-30_05h06m07s", "metabolights:MTBLS1\n"),
    ],
)
def test_read_identifier__refuses_other_forms(text):
    with pytest.raises(BadInput, match="expected") as caught:
        read_identifier(text)
    assert "metabolights:ID" in str(caught.value) or ", where ID is" in str(
        caught.value
    )


def test_export_dcat__carries_the_identifier_and_gives_it_back(place, isatab, capsys):
    run(capsys, place, "add", "--id", "livers", "--from-isatab", isatab)
    with open_catalog(place) as catalog:
        one = get(catalog, "livers")
    graph = export_dcat([one])
    text = format_graph(graph, "turtle")
    assert f'dct:identifier "livers",\n        "{MTBLS}"' in text
    assert "dcat:landingPage <https://www.ebi.ac.uk/metabolights/MTBLS424242>" in text
    (back,) = import_dcat(graph)
    tags = [replace(each, tag="") for each in one.objects]
    assert [replace(each, tag="") for each in back.objects] == tags
    assert replace(back, objects=()) == replace(one, objects=())
    assert format_graph(export_dcat([back]), "turtle") == text
    code, out, _ = run(capsys, place, "export", "--dcat", isatab / "x.ttl")
    assert code == 0
    out = run(capsys, place, "import", isatab / "x.ttl")[1]
    assert out.endswith("1 data sets, 0 of them new or changed\n")
    assert name_set(one)["identifier"] == MTBLS  # so manifests and crates have it


def test_save_crate__carries_the_identifier_of_an_input(place, isatab, capsys):
    run(capsys, place, "add", "--id", "livers", "--from-isatab", isatab)
    with open_catalog(place) as catalog:
        one = get(catalog, "livers")
    results = isatab / "results"
    results.mkdir()
    (results / "models.tsv").write_text("x\n")
    record = {"format_version": 1, "program": "p", "version": "1", "status": "done"}
    record |= {"started": "2026-11-30T12:00:00Z", "outputs": ["models.tsv"]}
    record["inputs"] = [{"path": "/a/i.txt", "bytes": 1, "dataset": name_set(one)}]
    (results / "manifest.json").write_text(json.dumps(record))
    words = ("export", "--ro-crate", isatab / "crate", "--run", results)
    assert run(capsys, place, *words)[0] == 0
    crate = json.loads((isatab / "crate/ro-crate-metadata.json").read_text())
    (told,) = (e for e in crate["@graph"] if e.get("name") == "livers@1")
    assert told["identifier"] == [one.fingerprint, MTBLS]
    assert list(ROCrate(isatab / "crate").get_entities())


def test_import_dcat__takes_an_identifier_of_a_repository_alone(place, isatab, capsys):
    run(capsys, place, "add", "--id", "livers", "--from-isatab", isatab)
    with open_catalog(place) as catalog:
        graph = export_dcat([get(catalog, "livers")])
    for triple in list(graph):
        if str(triple[2]) == "livers":
            graph.remove(triple)
    (back,) = import_dcat(graph)
    assert back.facts["identifier"] == MTBLS
    assert ":" not in back.id
