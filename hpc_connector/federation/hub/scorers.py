"""The programs that score what a hub adds up: each installed one says so itself."""

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from hpc_connector.errors import BadInput
from hpc_connector.federation.hub.transport import HubTransport
from hpc_connector.federation.study import Study

GROUP = "hpc_connector.federated"  # of entry points
# Takes part as who scores; the folder is that of budgets and logs
Scorer = Callable[[HubTransport, Study, Path], None]


def load_scorer(name: str | None = None) -> Scorer:
    """Return who scores: of a program by its name, else of the only one there is.

    Raises
    ------
    BadInput
        None is installed, or several are and none is named.
    """
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name is None and len(known) == 1:
        (name,) = known
    if name not in known:
        said = ", ".join(sorted(known)) or "none is installed"
        raise BadInput(
            f"--program: expected one that scores federated searches: {said}"
        )
    return cast("Scorer", known[name].load())
