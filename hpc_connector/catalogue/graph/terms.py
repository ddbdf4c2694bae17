"""The words of graphs: which property has which field of a record.

DCAT 3 (W3C, 2024), DCAT-AP 3.0.1, ODRL 2.2. HealthDCAT-AP is not final: names and
cardinalities may change, so that they stand in one table, and an export has its
release.
"""

import re
from urllib.parse import quote, unquote

from rdflib import DCAT, DCTERMS, FOAF, ODRL2, PROV, RDFS, XSD, Graph
from rdflib.namespace import Namespace
from rdflib.term import Literal, URIRef

from hpc_connector.storage import address

OWN = Namespace("urn:hpc-connector:")
DCATAP = Namespace("http://data.europa.eu/r5r/")
HEALTH = Namespace("http://healthdataportal.eu/ns/health#")
SPDX = Namespace("http://spdx.org/rdf/terms#")
VCARD = Namespace("http://www.w3.org/2006/vcard/ns#")
PREFIXES = {
    "dcat": DCAT,
    "dcatap": DCATAP,
    "dct": DCTERMS,
    "foaf": FOAF,
    "health": HEALTH,
    "hpc": OWN,
    "odrl": ODRL2,
    "prov": PROV,
    "rdfs": RDFS,
    "spdx": SPDX,
    "vcard": VCARD,
    "xsd": XSD,
}
RELEASE = "DCAT-AP 3.0.1; HealthDCAT-AP, not final, as of 2026-11"
CATALOG = OWN["catalog"]
AUTHORITY = "http://publications.europa.eu/resource/authority/"
RIGHTS = {
    "public": URIRef(f"{AUTHORITY}access-right/PUBLIC"),
    "restricted": URIRef(f"{AUTHORITY}access-right/RESTRICTED"),
    "non-public": URIRef(f"{AUTHORITY}access-right/NON_PUBLIC"),
}
THEME = f"{AUTHORITY}data-theme/HEAL"
LAW = URIRef("http://data.europa.eu/eli/reg/2025/327/oj")  # health data space
MEDIA = "https://www.iana.org/assignments/media-types/"
VERSION = URIRef(f"{DCAT}version")  # which rdflib's list of DCAT lacks
DERIVED = PROV.wasDerivedFrom
SHA256 = SPDX["checksumAlgorithm_sha256"]

# Of a data set, as texts; those of DataSet, then facts that HealthDCAT-AP has words for
TEXTS = {
    "id": DCTERMS.identifier,
    "title": DCTERMS.title,
    "description": DCTERMS.description,
}
TIMES = {"created": DCTERMS.issued, "modified": DCTERMS.modified}
NUMBERS = {
    "individuals": HEALTH.numberOfUniqueIndividuals,
    "records": HEALTH.numberOfRecords,
    "min_typical_age": HEALTH.minTypicalAge,
    "max_typical_age": HEALTH.maxTypicalAge,
}
HEALTH_TEXTS = {
    "health_theme": HEALTH.healthTheme,
    "population_coverage": HEALTH.populationCoverage,
    "coding_system": HEALTH.hasCodingSystem,
    "hdab": HEALTH.hdab,
}
# Of a distribution: our own
OBJECT_TEXTS = {
    "format": DCTERMS["format"],
    "role": OWN.role,
    "tag": OWN.tag,
    "compression": OWN.compression,
    "encryption": OWN.encryption,
    "seal_signer": OWN.sealSigner,
    "object_id": OWN.objectId,
}
INDEX_TEXTS = {
    "plugin": OWN.plugin,
    "url": OWN.indexName,
    "of_tag": OWN.ofTag,
    "made": OWN.made,
}
INDEX_NUMBERS = {
    "bytes": OWN.indexBytes,
    "of_bytes": OWN.ofBytes,
    "slices_most": OWN.mostSlices,
}
ORIGIN_TEXTS = {
    "run_manifest_sha256": OWN.runManifest,
    "program": OWN.program,
    "program_version": OWN.programVersion,
    "measurement": OWN.measurement,
    "job": OWN.job,
}
SAFE = "/:@!$'()*+,;=-._~"  # of a name in an IRI, beside letters and digits
WRONG = re.compile('[\x00-\x20<>"{}|\\\\^`\x7f]')  # in an IRI


def name_data_set(name: str, version: int) -> URIRef:
    """Return the IRI of a version of a data set."""
    return URIRef(f"{OWN}dataset:{name}:{version}")


def name_own(kind: str, name: str) -> URIRef:
    """Return the IRI of something by its name, such as a role."""
    return URIRef(f"{OWN}{kind}:{quote(name, safe='')}")


def make_iri(name: str) -> URIRef:
    """Return the IRI of an object's name.

    Examples
    --------
    >>> str(make_iri("/data/a b.bed")), str(make_iri("s3://bucket/50%.csv"))
    ('file:///data/a%20b.bed', 's3://bucket/50%25.csv')
    """
    if address.get_scheme(name) in address.WEB:
        return URIRef(WRONG.sub(lambda found: quote(found[0]), name))
    encoded = quote(name, SAFE, errors="surrogateescape")
    return URIRef(encoded if address.get_scheme(name) else f"file://{encoded}")


def read_iri(iri: str) -> str:
    """Return the name of an object by its IRI."""
    if address.get_scheme(iri) in address.WEB:
        return iri
    return unquote(iri.removeprefix("file://"), errors="surrogateescape")


def is_iri(text: str) -> bool:
    """Return whether text is an IRI, whole."""
    return bool(address.SCHEME.match(text)) and not WRONG.search(text)


def text(value: str) -> Literal:
    """Return a text of a graph."""
    return Literal(value)


def number(value: int) -> Literal:
    """Return a number of a graph, 0 or more."""
    return Literal(str(value), datatype=XSD.nonNegativeInteger)


def new_graph() -> Graph:
    """Return an empty graph that knows our prefixes, and no others."""
    graph = Graph(bind_namespaces="none")
    for prefix, space in PREFIXES.items():
        graph.bind(prefix, space)
    return graph
