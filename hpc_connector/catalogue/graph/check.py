"""Whether a graph is what DCAT-AP asks for: our SHACL shapes, and those of others."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from rdflib import RDF, SH, Graph

from hpc_connector.errors import BadInput


@cache
def load_shapes() -> Graph:
    """Return our shapes: the mandatory part of DCAT-AP."""
    own = files("hpc_connector.catalogue.graph") / "shapes.ttl"
    return Graph(bind_namespaces="none").parse(data=own.read_text(), format="turtle")


def find_violations(graph: Graph, shapes: Graph | None = None) -> list[tuple[str, str]]:
    """Return what a graph lacks: at which node, and the message of the shape.

    Parameters
    ----------
    shapes
        Of SHACL; ours if it is None.
    """
    from pyshacl import validate

    conforms, report, _ = validate(
        graph, shacl_graph=shapes or load_shapes(), inplace=True, inference="none"
    )
    if conforms:
        return []
    return sorted(
        (str(report.value(one, SH.focusNode)), str(report.value(one, SH.resultMessage)))
        for one in report.subjects(RDF.type, SH.ValidationResult)
    )


def check_graph(graph: Graph, where: str, more: Sequence[Path] = ()) -> None:
    """Refuse a graph that is not as shapes want it.

    Parameters
    ----------
    more
        Files with shapes of others, Turtle.

    Raises
    ------
    BadInput
        It is not; the message has the first violations.
    """
    found = find_violations(graph)
    for path in more:
        try:
            shapes = Graph(bind_namespaces="none").parse(path, format="turtle")
        except Exception as error:
            raise BadInput(f"{path}: it is no Turtle: {error}") from None
        found += find_violations(graph, shapes)
    if found:
        first = "; ".join(f"{node}: {said}" for node, said in found[:5])
        rest = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        raise BadInput(f"{where}: {first}{rest}")
