"""Data sets as a graph of DCAT, HealthDCAT-AP and ODRL, without blank nodes.

Without them the text of a graph is the same each time.
"""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from rdflib import DCAT, DCTERMS, FOAF, ODRL2, RDF, RDFS, XSD, Graph
from rdflib.term import Literal, URIRef

from hpc_connector.catalogue.graph import terms
from hpc_connector.catalogue.graph.terms import (
    HEALTH_TEXTS,
    NUMBERS,
    OWN,
    SPDX,
    VCARD,
    number,
    text,
)
from hpc_connector.catalogue.policy import ROLE, asks_who
from hpc_connector.catalogue.records import (
    DataSet,
    Provenance,
    SliceIndex,
    StoredObject,
    get_today,
)
from hpc_connector.catalogue.repositories.identifiers import (
    RECORD,
    STUDY,
    is_identifier,
)
from hpc_connector.errors import BadInput

TITLE, DESCRIPTION = "Catalogue", "Records"


def export_dcat(
    records: Sequence[DataSet],
    *,
    title: str = TITLE,
    description: str = DESCRIPTION,
    publisher: str = "",
) -> Graph:
    """Return the graph of a catalogue with some data sets.

    Parameters
    ----------
    publisher
        Of the catalogue; that of all data sets, if they have one, by default.

    Raises
    ------
    BadInput
        There is no publisher, or there are several.
    """
    names = {one.publisher for one in records} - {""}
    if not publisher and len(names) != 1:
        raise BadInput(
            f"the catalogue has {len(names)} publishers: expected --publisher NAME"
        )
    graph = terms.new_graph()
    put = graph.add
    put((terms.CATALOG, RDF.type, DCAT.Catalog))
    put((terms.CATALOG, DCTERMS.title, text(title)))
    put((terms.CATALOG, DCTERMS.description, text(description)))
    agent = _put_agent(graph, publisher or names.pop())
    put((terms.CATALOG, DCTERMS.publisher, agent))
    put((terms.CATALOG, OWN.release, text(terms.RELEASE)))
    for one in records:
        put((terms.CATALOG, DCAT.dataset, _put_data_set(graph, one)))
    return graph


def _put_agent(graph: Graph, name: str) -> URIRef:
    iri = terms.name_own("agent", name)
    graph.add((iri, RDF.type, FOAF.Agent))
    graph.add((iri, FOAF.name, text(name)))
    return iri


def _put_texts(
    graph: Graph, iri: URIRef, record: Any, names: dict[str, URIRef]
) -> None:
    """Add the fields of a record that are not empty, by a table of names."""
    for name, term in names.items():
        if value := getattr(record, name):
            graph.add((iri, term, text(value)))


def _put_data_set(graph: Graph, one: DataSet) -> URIRef:
    iri, put = terms.name_data_set(one.id, one.version), graph.add
    put((iri, RDF.type, DCAT.Dataset))
    _put_texts(graph, iri, one, terms.TEXTS)
    put((iri, terms.VERSION, text(str(one.version))))
    for name, term in terms.TIMES.items():
        if value := getattr(one, name):
            put((iri, term, Literal(value, datatype=XSD.dateTime, normalize=False)))
    put((iri, DCTERMS.accessRights, terms.RIGHTS[one.access]))
    put((iri, DCAT.theme, URIRef(one.theme or terms.THEME)))
    if not one.theme:
        put((iri, terms.DCATAP.applicableLegislation, terms.LAW))
    for word in one.keywords:
        put((iri, DCAT.keyword, text(word)))
    if one.publisher:
        put((iri, DCTERMS.publisher, _put_agent(graph, one.publisher)))
    if one.license:
        is_iri = terms.is_iri(one.license)
        named = URIRef(one.license) if is_iri else text(one.license)
        put((iri, DCTERMS.license, named))
    _put_facts(graph, iri, one)
    for n, each in enumerate(one.objects):
        put((iri, DCAT.distribution, _put_object(graph, iri, n, each)))
    _put_policy(graph, iri, one)
    if one.provenance:
        put((iri, DCTERMS.provenance, _put_origin(graph, iri, one.provenance)))
    return iri


def hide_few(one: DataSet) -> dict[str, str]:
    """Return facts in which a small number of individuals is its bound alone."""
    facts = dict(one.facts)
    n, least = facts.get("individuals", ""), one.policy.least_cell
    if n.isdecimal() and int(n) < least:
        facts["individuals"] = f"<{least}"
    return facts


def _put_facts(graph: Graph, iri: URIRef, one: DataSet) -> None:
    """Add facts: by the words of HealthDCAT-AP, by those they came with, or by ours."""
    for name, value in hide_few(one).items():
        bound = value.removeprefix("<")
        if name == STUDY and is_identifier(value):
            graph.add((iri, DCTERMS.identifier, text(value)))
        elif name == RECORD and terms.is_iri(value):
            graph.add((iri, DCAT.landingPage, URIRef(value)))
        elif name in NUMBERS and bound.isdecimal():
            graph.add((iri, NUMBERS[name], number(int(bound))))
            if bound != value:
                graph.add((iri, OWN.fewerThan, text(name)))
        elif name in HEALTH_TEXTS:
            graph.add((iri, HEALTH_TEXTS[name], text(value)))
        elif terms.is_iri(name):
            for line in value.split("\n"):
                graph.add((iri, URIRef(name), text(line)))
        else:
            graph.add((iri, OWN.fact, text(f"{name}={value}")))


def _put_object(graph: Graph, above: URIRef, n: int, each: StoredObject) -> URIRef:
    iri, put = URIRef(f"{above}:object:{n}"), graph.add
    put((iri, RDF.type, DCAT.Distribution))
    place = terms.make_iri(each.url)
    put((iri, DCAT.accessURL, place))
    if terms.read_iri(place) != each.url:
        put((iri, OWN.name, text(each.url)))
    put((iri, DCAT.byteSize, number(each.bytes)))
    put((iri, OWN.order, number(n)))
    if each.media_type:
        put((iri, DCAT.mediaType, URIRef(f"{terms.MEDIA}{each.media_type}")))
    _put_texts(graph, iri, each, terms.OBJECT_TEXTS)
    if each.seal_version:
        put((iri, OWN.sealVersion, number(each.seal_version)))
    if each.sha256:
        digest = URIRef(f"{iri}:checksum")
        put((iri, SPDX.checksum, digest))
        put((digest, RDF.type, SPDX.Checksum))
        put((digest, SPDX.algorithm, terms.SHA256))
        value = Literal(each.sha256, datatype=XSD.hexBinary, normalize=False)
        put((digest, SPDX.checksumValue, value))
    if each.index:
        put((iri, OWN.sliceIndex, _put_index(graph, iri, each.index)))
    return iri


def _put_index(graph: Graph, above: URIRef, index: SliceIndex) -> URIRef:
    iri = URIRef(f"{above}:index")
    _put_texts(graph, iri, index, terms.INDEX_TEXTS)
    for name, term in terms.INDEX_NUMBERS.items():
        graph.add((iri, term, number(getattr(index, name))))
    told = json.dumps(dict(index.parameters), sort_keys=True)
    graph.add((iri, OWN.parameters, text(told)))
    return iri


def _put_origin(graph: Graph, above: URIRef, origin: Provenance) -> URIRef:
    iri = URIRef(f"{above}:provenance")
    said = f"results of {origin.program} {origin.program_version}"
    graph.add((iri, RDF.type, DCTERMS.ProvenanceStatement))
    graph.add((iri, RDFS.label, text(said)))
    _put_texts(graph, iri, origin, terms.ORIGIN_TEXTS)
    for name in origin.parents:
        parent, _, version = name.partition("@")
        graph.add((iri, OWN.parent, text(name)))
        derived = terms.name_data_set(parent, int(version))
        graph.add((above, terms.DERIVED, derived))
    return iri


# Policies


def _put_policy(graph: Graph, above: URIRef, one: DataSet) -> None:
    """Add an offer of ODRL: a permission for each role that may use a data set.

    Grants to roles are among them, while they hold; those to persons are not told.
    """
    iri, policy, put = URIRef(f"{above}:policy"), one.policy, graph.add
    put((above, ODRL2.hasPolicy, iri))
    put((iri, RDF.type, ODRL2.Offer))
    put((iri, OWN.leastLevel, number(policy.least_level)))
    put((iri, OWN.leastCell, number(policy.least_cell)))
    put((iri, OWN.topMost, number(policy.top_most)))
    if policy.keeper:
        put((iri, OWN.keeper, text(policy.keeper)))
    if policy.contact:
        put((above, DCAT.contactPoint, _put_contact(graph, above, policy.contact)))
    if policy.until:
        put((iri, OWN.until, _day(policy.until)))
    for word in policy.purposes:
        put((iri, OWN.purpose, text(word)))
    for n, (role, until, is_grant) in enumerate(list_permitted(one)):
        rule = URIRef(f"{iri}:use:{n}")
        put((iri, ODRL2.permission, rule))
        put((rule, RDF.type, ODRL2.Permission))
        put((rule, ODRL2.action, ODRL2.use))
        put((rule, ODRL2.target, above))
        if role:
            party = terms.name_own("role", role)
            put((rule, ODRL2.assignee, party))
            put((party, RDF.type, ODRL2.PartyCollection))
            put((party, OWN.roleName, text(role)))
        if is_grant:
            put((rule, OWN.grantedUntil, _day(is_grant)))
        if policy.purposes:
            words = [text(word) for word in policy.purposes]
            _put_constraint(graph, rule, "purpose", ODRL2.isAnyOf, words)
        if until:
            _put_constraint(graph, rule, "dateTime", ODRL2.lteq, [_day(until)])


def list_permitted(
    one: DataSet, today: date | None = None
) -> list[tuple[str, str, str]]:
    """Return for each who may use a data set: role, last day, last day of a grant.

    The role is empty for anybody, the days where there is no end, and no grant.
    """
    today = today or get_today()
    policy = one.policy
    if not asks_who(one):
        return [("", policy.until, "")]
    found = [(role, policy.until, "") for role in policy.roles]
    for grant in policy.grants:
        if grant.is_live(today) and grant.to.startswith(ROLE):
            until = min(grant.until, policy.until or grant.until)
            found.append((grant.to.removeprefix(ROLE), until, grant.until))
    return found


def _put_constraint(
    graph: Graph, rule: URIRef, what: str, operator: URIRef, values: list[Literal]
) -> None:
    iri = URIRef(f"{rule}:{what}")
    graph.add((rule, ODRL2.constraint, iri))
    graph.add((iri, RDF.type, ODRL2.Constraint))
    graph.add((iri, ODRL2.leftOperand, ODRL2[what]))
    graph.add((iri, ODRL2.operator, operator))
    for value in values:
        graph.add((iri, ODRL2.rightOperand, value))


def _put_contact(graph: Graph, above: URIRef, contact: str) -> URIRef:
    iri = URIRef(f"{above}:contact")
    graph.add((iri, RDF.type, VCARD.Kind))
    graph.add((iri, VCARD.fn, text(contact)))
    if "@" in contact and terms.is_iri(mail := f"mailto://{contact}"):
        graph.add((iri, VCARD.hasEmail, URIRef(mail.replace("//", "", 1))))
    return iri


def _day(value: str) -> Literal:
    return Literal(value, datatype=XSD.date)
