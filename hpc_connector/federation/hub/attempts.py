"""Attempts of a search: numbered by the hub, and kept on its disk.

No two have the same run, and so no two have the same masks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.errors import BAD_INPUT, BadInput, Later
from hpc_connector.federation.hub.codec import encode, load
from hpc_connector.federation.masks import make_run
from hpc_connector.federation.study import Study
from hpc_connector.publish import publish

NAME = "attempt"
FORMAT_VERSION = 1


class End(NamedTuple):
    """How an attempt has ended: the code that all parties end with, and why."""

    code: int
    reason: str


class Ended(Exception):
    """An attempt has ended, before there was a result."""

    def __init__(self, end: End) -> None:
        super().__init__(end.reason)
        self.end = end

    def explain(self) -> BadInput | Later:
        """Return what a party ends with."""
        code, reason = self.end
        return BadInput(reason) if code == BAD_INPUT else Later(reason)


@dataclass(frozen=True)
class Attempt:
    """An attempt.

    Parameters
    ----------
    run
        Of its masks, hexadecimal.
    hellos
        Of the sites, in the order of the study.
    done
        Sites that have the result.
    """

    number: int
    run: str
    hellos: tuple[dict[str, Any], ...]
    end: End | None = None
    done: tuple[str, ...] = ()


def make_attempt(study: Study, number: int, hellos: list[dict[str, Any]]) -> Attempt:
    """Return a new attempt."""
    return Attempt(number, name_run(study, number, hellos), tuple(hellos))


def name_run(study: Study, number: int, hellos: list[dict[str, Any]]) -> str:
    """Return the run of an attempt's masks, hexadecimal."""
    nonces = {hello["site"]: hello["nonce"] for hello in hellos}
    return make_run(bytes.fromhex(study.sha256), number, nonces).hex()


def save_attempt(folder: Path, study: Study, attempt: Attempt) -> None:
    """Write an attempt; it is on the disk when this returns."""
    told = {
        "format_version": FORMAT_VERSION,
        "study": study.sha256,
        "number": attempt.number,
        "hellos": list(attempt.hellos),
        "end": None if attempt.end is None else list(attempt.end),
        "done": list(attempt.done),
    }
    with publish(folder / NAME, "open", private=True) as stream:
        stream.write(encode(told))


def has_result(folder: Path, study: Study) -> bool:
    """Return whether all sites have the result of the last attempt of a study.

    Raises
    ------
    BadInput
        The folder is of another study, or of another version.
    """
    attempt = load_attempt(folder, study)
    return attempt is not None and set(attempt.done) == set(study.names)


def remove_files(folder: Path) -> None:
    """Remove the sums and told values of an attempt that is over."""
    for pattern in ("sums.*", "told.*"):
        for path in folder.glob(pattern):
            path.unlink()


def load_attempt(folder: Path, study: Study) -> Attempt | None:
    """Return the last attempt of a study, None before the first.

    Raises
    ------
    BadInput
        The folder is of another study, or of another version.
    """
    path = folder / NAME
    told = load(path)
    if told is None:
        return None
    if told["format_version"] != FORMAT_VERSION:
        raise BadInput(f"{path} is of another version: expected a new folder")
    if told["study"] != study.sha256:
        raise BadInput(
            f"{path} is of another study ({told['study'][:12]}, here "
            f"{study.sha256[:12]}): expected a new folder"
        )
    made = make_attempt(study, told["number"], told["hellos"])
    end = None if told["end"] is None else End(*told["end"])
    return Attempt(made.number, made.run, made.hellos, end, tuple(told["done"]))
