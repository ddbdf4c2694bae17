"""The XML of HMDB, gigabytes of it, an entry at a time."""

from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from hpc_connector.errors import BadInput
from metabolite_annotation.databases.fields import read_charge
from metabolite_annotation.databases.molecules import Molecule

ENTRY = "metabolite"


def read_hmdb(path: str, blocks: Iterable[bytes]) -> Iterator[Molecule]:
    """Yield the molecules of ``hmdb_metabolites.xml``, which `path` names.

    Raises
    ------
    BadInput
        It is cut, or no XML.
    """
    parser: Any = XMLPullParser(("start", "end"))  # its stubs know other events
    above: list[Element] = []
    try:
        for block in blocks:
            parser.feed(block)
            yield from _take_entries(parser, above)
        parser.close()
        yield from _take_entries(parser, above)
    except ParseError as error:
        raise BadInput(f"{path} is cut or no XML: {error}") from None


def _take_entries(parser: Any, above: list[Element]) -> Iterator[Molecule]:
    """Yield what is whole, and forget it.

    Entries are below the root, or the root where a file has but one.

    Parameters
    ----------
    above
        The elements that are open.
    """
    for event, element in parser.read_events():
        if event == "start":
            above.append(element)
            continue
        above.pop()
        if len(above) > 1 or (above and _name(above[0]) == ENTRY):
            continue  # it is part of an entry
        if _name(element) == ENTRY:
            yield _read_entry(element)
        element.clear()
        for root in above:
            root.clear()


def _name(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def _read_entry(entry: Element) -> Molecule:
    """Return the molecule of an entry: of its own texts, not those of what is in it."""
    texts = {_name(child): child.text or "" for child in entry}
    names = ("accession", "name", "chemical_formula")
    number, name, formula = (texts.get(name, "") for name in names)
    return Molecule(number, name, formula, _find_charge(entry))


def _find_charge(entry: Element) -> int | None:
    """Return the formal charge, which HMDB has among what is predicted."""
    for part in entry:
        if _name(part) == "predicted_properties":
            for each in part:
                said = {_name(child): child.text or "" for child in each}
                if said.get("kind") == "formal_charge":
                    return read_charge(said.get("value", ""))
    return None
