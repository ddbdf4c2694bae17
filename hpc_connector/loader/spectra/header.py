"""What an imzML file says before its second spectrum, as a tree of plain elements.

Elements have names without namespace, and where one refers to a group of parameters,
those of the group stand in its place. So ``root.iterfind(".//fileContent/cvParam")``
is all that the content says, however it was written. The first spectrum is in the tree,
for most of what is said of spectra is said of each of them.
"""

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers.expat import ErrorString

from hpc_connector.errors import BadInput

GROUP, REFERENCE = "referenceableParamGroup", "referenceableParamGroupRef"
PARAMS = ("cvParam", "userParam")


def parse_header(path: str, text: bytes) -> Element:
    """Return the root of the elements in the first bytes of a file.

    Raises
    ------
    BadInput
        Malformed XML, or no element.
    """
    parser: Any = ElementTree.XMLPullParser(["start"])
    try:
        parser.feed(text)
        elements: list[Element] = [one for _, one in parser.read_events()]
    except ElementTree.ParseError as error:
        reason = ErrorString(error.code)
        line = error.position[0]
        raise BadInput(f"{path}, line {line}: malformed XML: {reason}") from None
    except (LookupError, ValueError) as error:  # of the encoding
        raise BadInput(f"{path}: malformed XML: {error}") from None
    if not elements:
        raise BadInput(f"{path}: malformed XML: no element found")
    for element in elements:
        element.tag = element.tag.rpartition("}")[2]
        for name, value in element.items():
            element.set(name, clean_value(name, value))
    put_groups(elements[0])
    return elements[0]


def clean_value(name: str, value: str) -> str:
    """Return the value of an attribute as it is meant.

    Examples
    --------
    >>> clean_value("accession", " ims:1000050 ")
    'IMS:1000050'
    """
    return value.strip().upper() if name == "accession" else value.strip()


def put_groups(root: Element) -> None:
    """Put the parameters of groups in place of what refers to them."""
    groups = {group.get("id", ""): group for group in root.iter(GROUP)}
    for element in list(root.iter()):
        if element.find(REFERENCE) is not None:
            seen: set[str] = set()
            element[:] = [
                param for child in element for param in _resolve(child, groups, seen)
            ]


def _resolve(
    child: Element, groups: dict[str, Element], seen: set[str]
) -> Iterator[Element]:
    """Yield an element, or for a reference the parameters of its group, but once.

    Copies of parameters alone: what is badly nested would come to hold itself.
    """
    if child.tag != REFERENCE:
        yield child
    elif (name := child.get("ref", "")) in groups and name not in seen:
        seen.add(name)
        for one in groups[name]:
            if one.tag == REFERENCE:
                yield from _resolve(one, groups, seen)
            elif one.tag in PARAMS:
                yield Element(one.tag, one.attrib)


def list_params(root: Element, *names: str) -> list[Element]:
    """Return the parameters right under all elements of some names.

    Both ``cvParam`` and ``userParam``, each with the attributes ``name`` and ``value``;
    those of groups that are referred to are among them.
    """
    return [
        child
        for name in names
        for element in root.iter(name)
        for child in element
        if child.tag in PARAMS
    ]
