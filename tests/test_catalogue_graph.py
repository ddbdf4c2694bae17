"""Graphs of catalogues: checked, the same each time, and read back as they were."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from rdflib import XSD, Graph, Literal
from rdflib.compare import isomorphic

from hpc_connector.catalogue.catalog import open_catalog
from hpc_connector.catalogue.exchange import take_records
from hpc_connector.catalogue.graph.check import find_violations
from hpc_connector.catalogue.graph.dcat import export_dcat
from hpc_connector.catalogue.graph.read import import_dcat
from hpc_connector.catalogue.graph.text import format_graph, read_graph
from hpc_connector.catalogue.lookup import get
from hpc_connector.catalogue.policy import find_denial
from hpc_connector.catalogue.records import (
    DataSet,
    Grant,
    Policy,
    Provenance,
    SliceIndex,
    StoredObject,
    to_json,
)
from hpc_connector.commands.main import main
from hpc_connector.confidential.identity import login
from hpc_connector.confidential.identity.claims import Claims
from hpc_connector.errors import BadInput

DATA = Path(__file__).parent / "data" / "catalogue"
EXPECTED = json.loads((DATA / "expected.json").read_text())
KINDS = {"ttl": "turtle", "jsonld": "json-ld"}
PATH = "realm_access.roles"
TIME = "2026-11-30T12:00:00.000Z"
MINE = """
PREFIX dcat: <http://www.w3.org/ns/dcat#> PREFIX dct: <http://purl.org/dc/terms/>
PREFIX odrl: <http://www.w3.org/ns/odrl/2/> PREFIX hpc: <urn:hpc-connector:>
SELECT DISTINCT ?id WHERE {
  ?set a dcat:Dataset ; dct:identifier ?id ; odrl:hasPolicy/odrl:permission ?rule .
  OPTIONAL { ?rule odrl:assignee/hpc:roleName ?role }
  FILTER(!BOUND(?role) || ?role = ?mine)
  FILTER NOT EXISTS { ?rule odrl:constraint ?c . ?c odrl:leftOperand odrl:purpose
    FILTER NOT EXISTS { ?c odrl:rightOperand ?purpose } }
  FILTER NOT EXISTS { ?rule odrl:constraint ?d .
    ?d odrl:leftOperand odrl:dateTime ; odrl:rightOperand ?last FILTER(?last < ?today) }
}"""


def make_data_sets():
    index = SliceIndex("VCFGZip-1", "s3://bucket/i", 4, '"t"', 3, TIME, 7, {"a": 1})
    bed = StoredObject("genotypes", "/data/a b/%41ü.bed", 3, '"t"', "ab" * 32, "bed")
    vcf = StoredObject(
        "genotypes",
        "s3://bucket/50%/x.vcf.gz.c4gh",
        9,
        '"u"',
        "cd" * 32,
        "vcf",
        "text/vcf",
        "bgzip",
        "crypt4gh",
        "0123456789abcdef",
        2,
        "ef" * 16,
        index,
    )
    web = replace(bed, url="https://example.org/x%20y.bed?v=2", role="other")
    usual = {"description": "What it is", "publisher": "Lab of things"}
    usual |= {"created": TIME, "modified": TIME}
    policy = Policy((f"{PATH}=nd-role",), ("care", "research"), "2030-01-01", 2, 5)
    policy = replace(policy, keeper="https://keeper:8443", contact="who@example.org")
    return [
        DataSet("a", "Öne", (bed, web), facts={"individuals": "3"}, **usual),
        DataSet(
            "b",
            "Two",
            (vcf,),
            version=2,
            keywords=("x", "y"),
            license="https://example.org/licence",
            facts={"individuals": "100", "build": "GRCh38", "hdab": "Body"},
            policy=policy,
            provenance=Provenance("ab" * 32, "p", "1", "cd" * 32, ("a@1",), "77"),
            **usual,
        ),
        DataSet("c", "Three", (bed,), access="public", theme="urn:x", **usual),
    ]


@pytest.mark.parametrize("name", EXPECTED)
def test_find_violations__has_the_message_of_the_shape(name):
    graph = Graph().parse(DATA / name)
    assert [said for _, said in find_violations(graph)] == EXPECTED[name]


@pytest.mark.parametrize("field", ["title", "description"])
def test_export__without_what_is_asked_for_writes_nothing(field, tmp_path, capsys):
    place = f"{tmp_path}/c.sqlite"
    one = replace(make_data_sets()[0], **{field: "" if field != "title" else "x"})
    one = replace(one, objects=(replace(one.objects[0], sha256=""),))
    with open_catalog(place, is_new=True) as catalog:
        told = {"do": "add", "id": one.id, "dataset": to_json(one)}
        catalog.write(lambda: told)
    out = tmp_path / "x.ttl"
    words = ["catalog", "export", "--dcat", str(out), "--catalog", place]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "a distribution has a checksum" in said
    assert ("a data set has a description" in said) == (field == "description")
    assert not out.exists()


def test_export_dcat__is_the_golden_text():
    text = format_graph(export_dcat(make_data_sets()), "turtle")
    assert text == (DATA / "export.ttl").read_text()


@pytest.mark.parametrize("ending", KINDS)
def test_import__of_an_export_gives_equal_text_and_records(ending, tmp_path):
    records = make_data_sets()
    path = tmp_path / f"x.{ending}"
    text = format_graph(export_dcat(records), KINDS[ending])
    assert text == format_graph(export_dcat(records), KINDS[ending])
    path.write_text(text)
    graph = read_graph(path)
    assert find_violations(graph) == []
    with open_catalog(tmp_path / "c.sqlite", is_new=True) as catalog:
        assert take_records(catalog, import_dcat(graph)) == 3
        assert take_records(catalog, import_dcat(graph)) == 0
        found = [get(catalog, one.id) for one in records]
    assert format_graph(export_dcat(found), KINDS[ending]) == text
    few = replace(records[0], facts={"individuals": "<10"})  # nobody is told of three
    assert found == [few, *records[1:]]


def test_import__reads_graphs_of_others_and_keeps_what_it_does_not_know(tmp_path):
    for ending in KINDS:
        (one,) = import_dcat(read_graph(DATA / f"good.{ending}"))
        assert (one.id, one.title, one.access) == ("cohort", "Cohort", "restricted")
        assert one.objects[0].url == "https://example.org/files/cohort.bed"
        assert one.objects[0].sha256 == "ab" * 32
    path = tmp_path / "more.ttl"
    more = '\n<https://example.org/d/cohort> <https://example.org/p> "1", "2" .\n'
    path.write_text((DATA / "good.ttl").read_text() + more)
    (one,) = import_dcat(read_graph(path))
    assert one.facts == {"https://example.org/p": "1\n2"}
    assert import_dcat(export_dcat([one], publisher="x"))[0].facts == one.facts


def test_format_graph__says_the_same_in_both_formats(tmp_path):
    for ending, kind in KINDS.items():
        text = format_graph(export_dcat(make_data_sets()), kind)
        (tmp_path / f"x.{ending}").write_text(text)
    assert isomorphic(*(read_graph(tmp_path / f"x.{ending}") for ending in KINDS))


NESTED = '{"@id": "urn:x", "urn:p": ' * 99 + "1" + "}" * 99
REFUSED = {
    "a.jsonld": ('{"@context": "https://example.org/c"}', "none is fetched"),
    "b.jsonld": ('{"@context": [{}, "https://example.org/c"]}', "none is fetched"),
    "c.jsonld": ('[{"x": {"@context": "file:///etc/passwd"}}]', "none is fetched"),
    "d.jsonld": ('{"@context": {"@import": "https://x"}}', "@import"),
    "e.jsonld": (NESTED, "nested too deeply"),
    "f.jsonld": ("[" * 100_000, "nested too deeply"),
    "g.jsonld": ("{", "it is no JSON"),
    "h.ttl": (
        "<urn:a> <urn:b> " + "[ <urn:c> " * 20_000,
        "nested too deeply|no turtle",
    ),
    "i.ttl": ("nothing", "it is no turtle"),
    "j.rdf": ("", "ends with .ttl or .jsonld"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_read_graph__refuses(name, tmp_path):
    text, said = REFUSED[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=said):
        read_graph(tmp_path / name)


def test_read_graph__refuses_what_is_too_large(tmp_path):
    path = tmp_path / "large.ttl"
    with open(path, "wb") as stream:
        stream.truncate((64 << 20) + 1)
    with pytest.raises(BadInput, match="64 MiB at most"):
        read_graph(path)


def test_import__refuses_an_address_with_a_secret(tmp_path, capsys):
    path = tmp_path / "x.ttl"
    signed = (DATA / "good.ttl").read_text().replace("t.bed> ;", "t.bed?sig=1f> ;")
    path.write_text(signed.replace("cohort.bed> ;", "cohort.bed?sig=1f> ;"))
    words = ["catalog", "import", str(path), "--catalog", f"{tmp_path}/c.sqlite"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "keeps no secret" in said
    assert "1f" not in said


def make_policies(past="2020-01-01"):
    """Return data sets of each access, with policies of all kinds."""
    roles, others = (f"{PATH}=nd-role",), (f"{PATH}=other", f"{PATH}=nd-role")
    grant = (Grant(f"role:{PATH}=other", "2099-01-01"),)
    gone = (Grant(f"role:{PATH}=other", past), Grant("x", "2099-01-01", "", TIME))
    policies = [
        *(Policy(), Policy(roles), Policy(others, ("research",)), Policy(until=past)),
        *(Policy(roles, ("care", "research")), Policy(others, (), "2099-01-01")),
        *(Policy(grants=grant), Policy(grants=gone), Policy(roles, grants=grant)),
        Policy(("groups=nd-role",)),
    ]
    first = make_data_sets()[0]
    return [
        replace(first, id=f"{access}-{n}", access=access, policy=policy)
        for access in ("public", "restricted", "non-public")
        for n, policy in enumerate(policies)
        if access != "public" or not policy.roles
    ]


@pytest.mark.parametrize("purpose", ["", "research", "care"])
@pytest.mark.parametrize("role", ["nd-role", "other", "none"])
def test_export_dcat__says_who_may_use_it_as_the_catalogue_does(role, purpose):
    today, sets = date.today(), make_policies()
    user = Claims("me", "", 0.0, {"realm_access": {"roles": [role]}})
    mine = {one.id for one in sets if not find_denial(one, user, purpose, today=today)}
    assert find_mine(export_dcat(sets), role, purpose, today) == mine
    assert 3 < len(mine) < len(sets)


def find_mine(graph, role, purpose, today):
    """Return what a graph says that who has a role may use for a purpose, by SPARQL."""
    known = {"mine": Literal(f"{PATH}={role}"), "purpose": Literal(purpose)}
    known["today"] = Literal(str(today), datatype=XSD.date)
    return {str(row.id) for row in graph.query(MINE, initBindings=known)}


@pytest.mark.parametrize("role", ["nd-role", "other", "none"])
def test_search__of_what_is_mine_is_what_the_export_says(
    role, tmp_path, capsys, monkeypatch
):
    user = Claims("me", "", 0.0, {"realm_access": {"roles": [role]}})
    monkeypatch.setattr(login, "get_user", lambda: user)
    place, path = f"{tmp_path}/c.sqlite", tmp_path / "x.ttl"
    with open_catalog(place, is_new=True) as catalog:
        take_records(catalog, make_policies())
    assert main(["catalog", "export", "--dcat", str(path), "--catalog", place]) == 0
    for purpose in ("research", "care"):
        capsys.readouterr()
        words = ["catalog", "search", "--mine", "--purpose", purpose, "--json"]
        assert main([*words, "--catalog", place]) == 0
        found = {one["id"] for one in json.loads(capsys.readouterr().out)}
        assert find_mine(read_graph(path), role, purpose, date.today()) == found
        assert len(found) > 3
