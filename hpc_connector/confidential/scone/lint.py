"""Faults of a policy, each with its line and its code.

E codes are of what CAS refuses or what is not what was meant, W codes of what weakens a
policy or does nothing. What a template, or SCONE's client, has yet to fill in
(``{{x}}``, ``$x``) is not looked at.
"""

import dataclasses
import difflib
import re
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from hpc_connector.confidential.scone import services
from hpc_connector.confidential.scone.model import (
    FORMATS,
    OLD_FORMATS,
    Image,
    Key,
    Secret,
    Service,
    Session,
    list_keys,
)
from hpc_connector.confidential.scone.services import Fault
from hpc_connector.confidential.scone.source import (
    LEFT,
    RIGHT,
    BadYaml,
    Path,
    Source,
    read_source,
)

NAME = re.compile(r"[A-Za-z0-9_.~-]{1,128}")
VERSION = re.compile(r"0\.3(?:\.(\d{1,3}))?")
HEX = re.compile(r"[0-9A-Fa-f]*")
PLACEHOLDER = re.compile(r"\$\$SCONE::([^$|\s]+)(\|[^$]*)?\$\$")
TEMPLATE = re.compile(rf"{LEFT}|{{{{.*?}}}}")
OPEN = re.compile(rf"\$\$SCONE::|\$\{{?[A-Za-z_]|{LEFT}|{{{{|<[^<>]+>|^__\w+__$")
SECTIONS = ("services", "images", "volumes", "secrets")
MOST_NEAR = 200  # names among which one that was meant is looked for
MOST_SAID = 300  # characters of a message
PLACEHOLDERS_SINCE = (0, 3, 10)  # in the parts that say who is let in


class Finding(NamedTuple):
    """A fault of a policy."""

    line: int
    code: str
    message: str


def lint(data: bytes, programs: Collection[str] = ()) -> list[Finding]:
    """Return the faults of a policy, by line.

    Parameters
    ----------
    data
        The policy, YAML.
    programs
        Names of commands that are MPI programs.
    """
    try:
        source = read_source(data)
    except BadYaml as error:
        return [Finding(error.line, "E01", str(error))]
    found = [Finding(line, "E01", f"has {name} twice") for line, name in source.twice]
    if not isinstance(source.data, dict):
        return [Finding(1, "E01", "is not a map: expected name, version and the like")]
    for code, path, message in list_faults(source, programs):
        said = message.replace(LEFT, "{{").replace(RIGHT, "}}")
        found.append(Finding(source.find_line(path), code, said[:MOST_SAID]))
    return sorted(set(found))


def list_faults(source: Source, programs: Collection[str]) -> Iterator[Fault]:
    """Yield the faults of a policy that is a map."""
    data = source.data
    version = read_version(data)
    named = {section: list_named(data, section) for section in SECTIONS}
    yield from check_session(data)
    yield from check_map(data, Session, (), version)
    for section in SECTIONS:
        yield from check_names(data, section)
    for path, name, section in list_references(data):
        if name not in named[section]:
            what = section.removesuffix("s")
            yield "E06", path, f"there is no {what} {name}{guess(name, named[section])}"
    yield from check_texts(data, named["secrets"], version)
    yield from check_security(data)
    yield from services.check_services(data, named["images"], programs)


def read_version(data: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return the version of the language, None if it is none that is known.

    One without its last number is that of before it had one, 0.3.0.
    """
    match = VERSION.fullmatch(str(data.get("version")))
    return (0, 3, int(match[1] or 0)) if match else None


def check_session(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with the name and the version of a policy."""
    name, version = data.get("name"), data.get("version")
    if name is None:
        yield "E02", (), "name is missing"
    elif isinstance(name, str) and not (is_name(name) or OPEN.search(name)):
        said = "expected letters, digits and _.~- in parts of at most 128, joined by /"
        yield "E02", ("name",), f"name {name!r}: {said}"
    if version is None:
        yield "E03", (), "version is missing: without it 0.1 is meant"
    elif not (read_version(data) or OPEN.search(str(version))):
        yield "E03", ("version",), f"version {version}: expected 0.3.x"
    if data.get("namespace_hash") and data.get("predecessor"):
        yield (
            "E08",
            ("namespace_hash",),
            "namespace_hash is of a new session, predecessor of one that is there: "
            "expected one of them",
        )


def is_name(name: str) -> bool:
    """Return whether a session can have a name; / is that of the root namespace."""
    return name == "/" or all(NAME.fullmatch(part) for part in name.split("/"))


def check_map(
    value: Mapping[str, Any], kind: type, path: Path, version: tuple[int, ...] | None
) -> Iterator[Fault]:
    """Yield what is wrong with the keys of a map, and with their values."""
    known, hints = list_keys(kind), typing.get_type_hints(kind)
    for name, given in value.items():
        here = (*path, name)
        if name not in known:
            if not TEMPLATE.search(name):
                yield "E04", here, f"unknown key {name}{suggest(name, known)}"
            continue
        own, what = known[name]
        if what.since and given is not None and version and version < what.since:
            since = ".".join(map(str, what.since))
            yield "E03", here, f"{name} is of version {since}: expected that or later"
        yield from check_value(given, hints[own], what, here, version)


def suggest(name: str, known: Collection[str]) -> str:
    """Return which key was meant, or which there are."""
    return guess(name, known) or f": expected one of {', '.join(known)}"


def guess(name: str, known: Collection[str]) -> str:
    """Return which of some names was meant, nothing where none is near."""
    few = len(known) <= MOST_NEAR and len(name) <= MOST_SAID
    near = difflib.get_close_matches(name, known, 1) if few else []
    return f": expected {near[0]}" if near else ""


def check_value(
    value: Any, kind: Any, known: Key, path: Path, version: tuple[int, ...] | None
) -> Iterator[Fault]:
    """Yield what is wrong with a value of a type of the model."""
    kinds = typing.get_args(kind) if is_union(kind) else (kind,)
    lists = [one for one in kinds if typing.get_origin(one) is tuple]
    maps: list[Any] = [one for one in kinds if dataclasses.is_dataclass(one)]
    is_map = any(typing.get_origin(one) is Mapping for one in kinds)
    if value is None or Any in kinds:
        return
    if isinstance(value, str):
        if {str, int, bool} & set(kinds):
            yield from check_text(value, known, path)
        elif not OPEN.search(value):
            expected = "a list" if lists else "a map"
            yield "E01", path, f"{path[-1]} is text: expected {expected}"
    elif isinstance(value, list) and lists:
        inner = typing.get_args(lists[0])[0]
        for number, one in enumerate(value):
            yield from check_value(one, inner, known, (*path, number), version)
    elif isinstance(value, dict) and maps:
        yield from check_map(value, maps[0], path, version)
    elif isinstance(value, dict) and is_map:
        for name, one in value.items():
            if isinstance(one, dict | list):
                yield "E01", (*path, name), f"{name} is no text: expected its value"
    else:
        found = "a list" if isinstance(value, list) else "a map"
        expected = "a list" if lists else "a map" if maps or is_map else "text"
        yield "E01", path, f"{path[-1]} is {found}: expected {expected}"


def is_union(kind: Any) -> bool:
    """Return whether a type is one of several."""
    return typing.get_origin(kind) not in (tuple, Mapping, None)


def check_text(value: str, known: Key, path: Path) -> Iterator[Fault]:
    """Yield what is wrong with a text: a number in hex, or one of some words."""
    name = next(str(part) for part in reversed(path) if isinstance(part, str))
    if OPEN.search(value):
        return
    if known.digits and not (HEX.fullmatch(value) and len(value) == known.digits):
        is_hex = HEX.fullmatch(value) is not None
        found = f"{len(value)} hex digits" if is_hex else "no hex digits alone"
        yield "E05", path, f"{name} has {found}: expected {known.digits}"
    if known.one_of and value not in known.one_of:
        said = f"unknown {name} {value!r}{suggest(value, known.one_of)}"
        yield "E09", path, said


def list_named(data: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Return what a section has, by name; of two, the first."""
    found: dict[str, Any] = {}
    for _, one in services.list_maps(data, section):
        if isinstance(one.get("name"), str):
            found.setdefault(one["name"], one)
    return found


def check_names(data: Mapping[str, Any], section: str) -> Iterator[Fault]:
    """Yield names of a section that are missing, twice, or none that can be."""
    seen: set[str] = set()
    what = section.removesuffix("s")
    for path, one in services.list_maps(data, section):
        name = one.get("name")
        if name is None:
            yield "E02", path, f"name of a {what} is missing"
        elif not isinstance(name, str):
            continue
        elif name in seen:
            yield "E10", (*path, "name"), f"two {section} are called {name}"
        elif section == "services" and not (NAME.fullmatch(name) or OPEN.search(name)):
            said = "expected letters, digits and _.~-, at most 128"
            yield "E02", (*path, "name"), f"name {name!r} of a {what}: {said}"
        if isinstance(name, str):
            seen.add(name)


def list_references(data: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Yield each name that is said of another part: where, the name, its section."""
    for section, kind in (
        ("services", Service),
        ("images", Image),
        ("secrets", Secret),
    ):
        refers = {n: k.refers for n, (_, k) in list_keys(kind).items() if k.refers}
        for path, one in services.list_maps(data, section):
            for key, there in refers.items():
                for name in services.list_words(one.get(key)):
                    if not OPEN.search(name) and "-----BEGIN" not in name:
                        yield (*path, key), name, there
    for path, image in services.list_maps(data, "images"):
        for where, volume in services.list_maps(image, "volumes"):
            for name in services.list_words(volume.get("name")):
                if not OPEN.search(name):
                    yield (*path, *where, "name"), name, "volumes"


def list_texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield all text of a policy, keys too, each with its place."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield (*path, name), name
            yield from list_texts(one, (*path, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from list_texts(one, (*path, number))


def check_texts(
    data: Mapping[str, Any],
    secrets: Mapping[str, Any],
    version: tuple[int, ...] | None,
) -> Iterator[Fault]:
    """Yield placeholders of nothing, or of an unknown format; and open templates."""
    for path, text in list_texts(data):
        for match in PLACEHOLDER.finditer(text):
            yield from check_placeholder(match[1], secrets, path)
            if version and version < PLACEHOLDERS_SINCE and is_admission(path):
                said = "a placeholder of who is let in is of version 0.3.10"
                yield "E03", path, f"{said}: expected that or later"
        if TEMPLATE.search(text):
            yield "W10", path, "a template's {{x}} is not filled in"


def is_admission(path: Path) -> bool:
    """Return whether a place is in the parts that say which enclaves are let in."""
    if path[:1] == ("services",):
        return path[2:3] in (("attestation",), ("platforms",))
    return path[:2] == ("security", "attestation")


def check_placeholder(
    body: str, secrets: Mapping[str, Any], path: Path
) -> Iterator[Fault]:
    """Yield what is wrong with a placeholder.

    Parameters
    ----------
    body
        ``name``, ``name:format``, or ``name.format`` as before CAS 5.2.
    """
    name, _, style = body.partition(":")
    old, _, ending = name.rpartition(".")
    if name not in secrets and old in secrets and ending in OLD_FORMATS:
        return
    if name == "self" or OPEN.search(name):  # what is attested itself
        return
    if name not in secrets:
        yield "E06", path, f"there is no secret {name}{guess(name, secrets)}"
        return
    kind = secrets[name].get("kind")
    every = {one for formats in FORMATS.values() for one in formats}
    known = FORMATS.get(kind, every) if isinstance(kind, str) else every
    if style and style not in known:
        expected = ", ".join(sorted(known)) or "none"
        of = f" of {kind}" if isinstance(kind, str) else ""
        yield "E09", path, f"unknown format {style}{of}: expected {expected}"


def check_security(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield in what a policy is lenient with machines and debuggers."""
    path: Path = ("security", "attestation")
    attestation = services.get_map(services.get_map(data, "security"), "attestation")
    if attestation.get("mode") == "none":
        said = "attestation is off: whoever reaches CAS has all secrets"
        yield "W01", (*path, "mode"), said
    tolerated = services.list_words(attestation.get("tolerate"))
    debug = {"debug-mode", "debug"} & set(tolerated)
    if debug:
        said = f"{min(debug)} is tolerated: a debugger reads all secrets"
        yield "W02", (*path, "tolerate"), said
    if "*" in services.list_words(attestation.get("ignore_advisories")):
        here = (*path, "ignore_advisories")
        yield "W03", here, "all advisories are ignored, those to come too"
        if not debug:
            said = "all advisories can be ignored with debug-mode alone"
            yield "E11", here, said
