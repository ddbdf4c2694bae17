"""What a run assumed, and what it left out or changed: for its log, record and page."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hpc_connector.publish import get_readers
from hpc_connector.run_record import RunRecord

logger = logging.getLogger(__name__)


class Assumption(NamedTuple):
    """What results depend on and no input says.

    Parameters
    ----------
    what, taken
        As in "polarity" and "positive".
    because
        What is lacking, and where: "x.imzML names none".
    option
        Of the command line, that says otherwise; nothing where there is none.

    Examples
    --------
    >>> str(Assumption("polarity", "positive", "x.imzML names none", "--polarity"))
    'polarity positive is assumed, for x.imzML names none (--polarity says otherwise)'
    """

    what: str
    taken: str
    because: str
    option: str = ""

    def __str__(self) -> str:
        """Return one sentence without its full stop."""
        otherwise = f" ({self.option} says otherwise)" if self.option else ""
        return f"{self.what} {self.taken} is assumed, for {self.because}{otherwise}"


def add_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of counts by name, in order of the names, without zeros."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return {name: int(n) for name, n in sorted(total.items()) if n}


def make_notes(assumed: Iterable[Assumption], counted: Mapping[str, int]) -> RunRecord:
    """Return the record of both for a manifest; what is assumed twice stands once.

    A name of `counted` is a phrase that reads before its number: "half-calls were
    taken as missing".
    """
    unique = dict.fromkeys(assumed)
    return {"assumed": [one._asdict() for one in unique], "counted": dict(counted)}


def list_notes(record: Mapping[str, Any]) -> list[str]:
    """Return sentences on what a record says was assumed and counted, for people."""
    assumed, counted = record.get("assumed"), record.get("counted")
    said = []
    if isinstance(assumed, list):
        known = [one for one in assumed if isinstance(one, dict)]
        said += [_say_assumed(one) for one in known]
    if isinstance(counted, dict):
        said += [f"{_capitalise(str(name))}: {n}." for name, n in counted.items()]
    return said


def _say_assumed(entry: Mapping[str, Any]) -> str:
    parts = (str(entry.get(name, "")) for name in Assumption._fields)
    return f"{_capitalise(str(Assumption(*parts)))}."


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]


def log_notes(notes: Mapping[str, Any]) -> None:
    """Log a line for each thing that was assumed or counted.

    Where results are encrypted, what was assumed is in them alone: it may be of data.
    """
    assumed = notes["assumed"]
    if get_readers() and assumed:
        logger.info("note: assumed, as the report says: %d", len(assumed))
    elif not get_readers():
        for entry in assumed:
            logger.warning("%s", Assumption(**entry))
    for name, n in notes["counted"].items():
        logger.info("note: %s: %d", name, n)
