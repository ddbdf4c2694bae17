"""What is wrong with the services of a policy: who is let in, and how they start."""

import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hpc_connector.confidential.scone.launchers import find_missing
from hpc_connector.confidential.scone.plain_secrets import is_secret, list_options
from hpc_connector.confidential.scone.source import Path

Fault = tuple[str, Path, str]  # code, where, what

INTERPRETER = re.compile(
    r"(python|pypy|node|nodejs|java|ruby|perl|php|lua|julia|Rscript|R|dotnet|deno|bun|"
    r"bash|sh|dash|zsh)[0-9.]*"
)
HOST = re.compile(r"(?:\\?@){2}(.+)")  # a variable that the host sets
MOST_CHARACTERS = 1 << 16  # of a command, that are looked at
WITHOUT_EFFECT = ("SCONE_HEAP", "SCONE_CAS_ADDR")


def get_map(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a map in a map, an empty one if there is none."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def list_maps(
    value: Mapping[str, Any], section: str
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the maps of a list in a map, each with its place."""
    listed = value.get(section)
    for number, one in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(one, dict):
            yield (section, number), one


def list_words(value: Any) -> list[str]:
    """Return the text of a list, or a text alone, as a list."""
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, str)]


def split_command(service: Mapping[str, Any]) -> list[str]:
    """Return the words of a service's command."""
    command = service.get("command")
    if not isinstance(command, str):
        return list_words(command)
    try:
        return shlex.split(command[:MOST_CHARACTERS])  # it takes the square of that
    except ValueError:  # a quotation that does not end
        return command.split()


def check_services(
    data: Mapping[str, Any], images: Mapping[str, Any], programs: Collection[str]
) -> Iterator[Fault]:
    """Yield what is wrong with the services of a policy, whose images have names."""
    security = get_map(data, "security")
    attestation = security.get("attestation")
    mode = attestation.get("mode") if isinstance(attestation, dict) else attestation
    needs = mode is None or mode in ("hardware", "maa")
    for path, service in list_maps(data, "services"):
        if needs and not (service.get("attestation") or service.get("mrenclaves")):
            yield (
                "E07",
                path,
                "the service has no attestation: expected mrenclave or signer",
            )
        is_singleton = security.get("singleton_enclaves") == "true"
        yield from check_environment(service, path, is_singleton)
        yield from check_command(service, path)
        yield from check_code(images, service, path)
        yield from check_launcher(service, path, programs)


def check_environment(
    service: Mapping[str, Any], path: Path, is_singleton: bool
) -> Iterator[Fault]:
    """Yield variables that do harm, or nothing."""
    for name, value in get_map(service, "environment").items():
        here, host = (*path, "environment", name), HOST.fullmatch(name)
        if name == "SCONE_ALLOW_DLOPEN" and value == "2":
            yield "W04", here, "loads libraries that nothing protects: expected 1"
        if name == "SCONE_FORK" and value == "1" and is_singleton:
            said = "an enclave of which there is one cannot fork: expected SCONE_FORK"
            yield "W05", here, f"{said} 0, or no singleton_enclaves"
        if (host[1] if host else name) in WITHOUT_EFFECT:
            yield "W06", here, f"{name} has no effect here: expected it at the start"
        if isinstance(value, str) and not host and is_secret(name, value):
            yield "W08", here, f"{name} looks like a secret: expected $$SCONE::name$$"


def check_command(service: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    """Yield options of a command whose value looks like a secret; not the value."""
    here = (*path, "command")
    for name, value in list_options(split_command(service)):
        if is_secret(name, value):
            said = f"{name or 'a word'} looks like a secret"
            yield "W08", here, f"{said}: expected $$SCONE::name$$"


def check_code(
    images: Mapping[str, Any], service: Mapping[str, Any], path: Path
) -> Iterator[Fault]:
    """Yield an interpreter whose program may be any."""
    words = split_command(service)
    if not words or not INTERPRETER.fullmatch(words[0].rpartition("/")[2]):
        return
    name = service.get("image_name")
    if isinstance(name, str) and name not in images:
        return  # that is said already
    image = images[name] if isinstance(name, str) else {}
    files = image.get("injection_files")
    injected = {
        one.get("path") if isinstance(one, dict) else one
        for one in (files if isinstance(files, list) else [])
        if isinstance(one, str) or (isinstance(one, dict) and one.get("content"))
    }
    if not (
        service.get("fspf_path")
        or service.get("fspf_key")
        or image.get("volumes")
        or injected & set(words)
    ):
        said = "its measurement is not that of the program"
        expected = "expected code in a volume, or fspf_path"
        yield "W07", (*path, "command"), f"{words[0]} runs any code, {said}: {expected}"


def check_launcher(
    service: Mapping[str, Any], path: Path, programs: Collection[str]
) -> Iterator[Fault]:
    """Yield an MPI program that would not find its other ranks."""
    if not is_parallel(split_command(service), programs):
        return
    named = (HOST.fullmatch(name) for name in get_map(service, "environment"))
    missing = find_missing({match[1] for match in named if match})
    if missing:
        said = ", ".join(f'"@@{name}"' for name in sorted(missing))
        yield (
            "W09",
            (*path, "command"),
            f"MPI would start as a world of one rank: expected {said} in environment, "
            "or those of another launcher",
        )


def is_parallel(words: list[str], programs: Collection[str]) -> bool:
    """Return whether a command is a run of an MPI program.

    Examples
    --------
    >>> is_parallel("python3 -m search_all run data".split(), ["search-all"])
    True
    """
    names = {name.replace("-", "_") for name in programs}
    for number, word in enumerate(words):
        if word.rpartition("/")[2].replace("-", "_") in names:
            return words[number + 1 : number + 2] == ["run"] or any(
                HOST.fullmatch(one) for one in words[number + 1 : number + 2]
            )
    return "mpi4py" in words
