"""Data sets from a graph: ours as they were, those of others as far as it goes."""

import json
import posixpath
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rdflib import DCAT, DCTERMS, FOAF, ODRL2, RDF, Graph
from rdflib.term import Identifier, Literal, Node, URIRef

from hpc_connector.catalogue.graph import terms
from hpc_connector.catalogue.graph.terms import OWN, SPDX, VCARD
from hpc_connector.catalogue.headers import guess_role
from hpc_connector.catalogue.objects import check_name
from hpc_connector.catalogue.policy import ROLE
from hpc_connector.catalogue.records import (
    ID,
    LEAST_CELL,
    LEAST_LEVEL,
    TOP_MOST,
    DataSet,
    Grant,
    Policy,
    Provenance,
    SliceIndex,
    StoredObject,
    check_data_set,
    check_kinds,
)
from hpc_connector.catalogue.repositories.identifiers import (
    RECORD,
    STUDY,
    is_identifier,
)
from hpc_connector.confidential.chain import format_time
from hpc_connector.errors import BadInput

KNOWN = {  # properties of a data set that are fields, or follow from some
    *(RDF.type, DCTERMS.accessRights, DCTERMS.publisher, DCTERMS.license),
    *(DCTERMS.provenance, DCAT.keyword, DCAT.theme, DCAT.distribution),
    *(DCAT.landingPage, DCAT.contactPoint, ODRL2.hasPolicy),
    *(terms.VERSION, terms.DERIVED, OWN.fact, OWN.fewerThan),
    terms.DCATAP.applicableLegislation,
    *(*terms.TEXTS.values(), *terms.TIMES.values()),
    *(*terms.NUMBERS.values(), *terms.HEALTH_TEXTS.values()),
}


def import_dcat(graph: Graph) -> list[DataSet]:
    """Return the data sets of a graph, in order of their ids and versions.

    Raises
    ------
    BadInput
        One cannot be a record.
    """
    nodes = graph.subjects(RDF.type, DCAT.Dataset)
    found = [_read_data_set(graph, node) for node in sorted(set(nodes), key=str)]
    return sorted(found, key=lambda one: (one.id, one.version))


def _get(graph: Graph, node: Node, term: Node, usual: str = "") -> str:
    """Return the text of a property; the first in order of several."""
    values = sorted(map(str, graph.objects(node, term)))
    return values[0] if values else usual


def _get_texts(graph: Graph, node: Node, names: dict[str, URIRef]) -> dict[str, str]:
    return {name: _get(graph, node, term) for name, term in names.items()}


def _get_number(graph: Graph, node: Node, term: Node, usual: int | None = None) -> int:
    """Return the number of a property.

    Raises
    ------
    BadInput
        There is none.
    """
    value = _get(graph, node, term)
    if not value and usual is not None:
        return usual
    if not (value.isascii() and value.isdecimal()):
        raise BadInput(f"{node}: {term}: {value or 'nothing'}: expected a whole number")
    return int(value)


def _read_data_set(graph: Graph, node: Node) -> DataSet:
    told: dict[str, Any] = _get_texts(graph, node, terms.TEXTS)
    for name, term in terms.TIMES.items():
        told[name] = _read_time(_get(graph, node, term))
    names = sorted(map(str, graph.objects(node, DCTERMS.identifier)))
    own = [name for name in names if not is_identifier(name)]
    told["id"] = own[0] if own else make_id(str(node))
    rights = {str(iri): name for name, iri in terms.RIGHTS.items()}
    theme = _get(graph, node, DCAT.theme)
    try:
        found = DataSet(
            **told,
            version=_get_number(graph, node, terms.VERSION, 1),
            access=rights.get(_get(graph, node, DCTERMS.accessRights), ""),
            theme="" if theme == terms.THEME else theme,
            license=_get(graph, node, DCTERMS.license),
            publisher=_read_agent(graph, node),
            keywords=tuple(sorted(map(str, graph.objects(node, DCAT.keyword)))),
            facts=_read_facts(graph, node),
            objects=_read_objects(graph, node),
            policy=_read_policy(graph, node),
            provenance=_read_origin(graph, node),
        )
        check_kinds(found)
        return check_data_set(found)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{node}: {error}") from None


def _read_time(value: str) -> str:
    """Return a time as we write it; rdflib writes it in a way of its own."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return value
    return format_time(found) if found.tzinfo else value


def make_id(iri: str) -> str:
    """Return an id made of the end of an IRI.

    Examples
    --------
    >>> make_id("https://example.org/d/My%20Cohort")
    'my-20cohort'
    """
    last = posixpath.basename(iri.rstrip("/#")).lower()
    found = re.sub(r"[^a-z0-9._-]", "-", last).strip("._-")[:64]
    return found if ID.fullmatch(found) else "data-set"


def _read_agent(graph: Graph, node: Node) -> str:
    for agent in graph.objects(node, DCTERMS.publisher):
        return _get(graph, agent, FOAF.name, str(agent))
    return ""


def _read_facts(graph: Graph, node: Node) -> dict[str, str]:
    """Return facts; what we have no word for is one by its property, as text."""
    facts: dict[str, str] = {}
    names = sorted(map(str, graph.objects(node, DCTERMS.identifier)))
    if known := next(filter(is_identifier, names), ""):
        facts[STUDY] = known
    if page := _get(graph, node, DCAT.landingPage):
        facts[RECORD] = page
    bounded = set(map(str, graph.objects(node, OWN.fewerThan)))
    for name, word in (terms.NUMBERS | terms.HEALTH_TEXTS).items():
        if value := _get(graph, node, word):
            facts[name] = f"<{value}" if name in bounded else value
    for value in map(str, graph.objects(node, OWN.fact)):
        name, _, rest = value.partition("=")
        facts[name] = rest
    others: dict[str, list[str]] = {}
    for term, other in graph.predicate_objects(node):
        if term not in KNOWN and isinstance(other, URIRef | Literal):
            others.setdefault(str(term), []).append(str(other))
    return facts | {name: "\n".join(sorted(values)) for name, values in others.items()}


def _read_objects(graph: Graph, node: Node) -> tuple[StoredObject, ...]:
    nodes = set(graph.objects(node, DCAT.distribution))
    placed = [(_get_number(graph, one, OWN.order, 0), str(one), one) for one in nodes]
    placed.sort(key=lambda told: told[:2])
    return tuple(_read_object(graph, one) for _, _, one in placed)


def _read_object(graph: Graph, node: Node) -> StoredObject:
    named = _get(graph, node, OWN.name)
    url = check_name(named or terms.read_iri(_get(graph, node, DCAT.accessURL)))
    told = _get_texts(graph, node, terms.OBJECT_TEXTS)
    told["role"] = told["role"] or guess_role(url)
    media = _get(graph, node, DCAT.mediaType)
    digest = graph.value(node, SPDX.checksum)
    index = graph.value(node, OWN.sliceIndex)
    sha256 = _get(graph, digest, SPDX.checksumValue).lower() if digest else ""
    return StoredObject(
        **told,
        url=url,
        bytes=_get_number(graph, node, DCAT.byteSize),
        sha256=sha256,
        media_type=media.removeprefix(terms.MEDIA),
        seal_version=_get_number(graph, node, OWN.sealVersion, 0),
        index=_read_index(graph, index) if index else None,
    )


def _read_index(graph: Graph, node: Node) -> SliceIndex:
    told: dict[str, Any] = _get_texts(graph, node, terms.INDEX_TEXTS)
    for name, term in terms.INDEX_NUMBERS.items():
        told[name] = _get_number(graph, node, term)
    parameters = json.loads(_get(graph, node, OWN.parameters, "{}"))
    return SliceIndex(**told, parameters=parameters)


def _read_policy(graph: Graph, node: Node) -> Policy:
    offer = graph.value(node, ODRL2.hasPolicy)
    contact = graph.value(node, DCAT.contactPoint)
    told: dict[str, Any] = {}
    if contact is not None:
        told["contact"] = _get(graph, contact, VCARD.fn) or str(contact)
    if offer is None:
        return Policy(**told)
    permitted = list(_read_permitted(graph, offer))
    return Policy(
        **told,
        roles=tuple(role for role, until in permitted if not until),
        purposes=tuple(sorted(map(str, graph.objects(offer, OWN.purpose)))),
        until=_get(graph, offer, OWN.until),
        least_level=_get_number(graph, offer, OWN.leastLevel, LEAST_LEVEL),
        least_cell=_get_number(graph, offer, OWN.leastCell, LEAST_CELL),
        top_most=_get_number(graph, offer, OWN.topMost, TOP_MOST),
        grants=tuple(Grant(f"{ROLE}{r}", until) for r, until in permitted if until),
        keeper=_get(graph, offer, OWN.keeper),
    )


def _read_permitted(graph: Graph, offer: Node) -> Iterator[tuple[str, str]]:
    """Yield the role of each permission that has one, and the end of a grant."""
    for rule in sorted(graph.objects(offer, ODRL2.permission), key=_number_rule):
        party = graph.value(rule, ODRL2.assignee)
        if party is not None and (role := _get(graph, party, OWN.roleName)):
            yield role, _get(graph, rule, OWN.grantedUntil)


def _number_rule(rule: Node) -> tuple[int, str]:
    """Return what puts our permissions in the order in which they were written."""
    last = str(rule).rpartition(":")[2]
    return int(last) if last.isdecimal() else 0, str(rule)


def _read_origin(graph: Graph, node: Node) -> Provenance | None:
    origin = graph.value(node, DCTERMS.provenance)
    if not isinstance(origin, Identifier) or not _get(graph, origin, OWN.runManifest):
        return None
    told = _get_texts(graph, origin, terms.ORIGIN_TEXTS)
    parents = tuple(sorted(map(str, graph.objects(origin, OWN.parent))))
    return Provenance(**told, parents=parents)
