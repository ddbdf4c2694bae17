"""The executor of Lithops, and one line where it cannot be had."""

import logging
import sys
from typing import Any

from hpc_connector.burst.config import Settings
from hpc_connector.errors import BadInput

LOCALHOST = "localhost"


def open_executor(settings: Settings) -> Any:
    """Return an executor of Lithops.

    Raises
    ------
    BadInput
        Lithops is not installed, or refuses its configuration.
    """
    try:
        import lithops
    except ImportError:
        raise BadInput(
            "--burst needs Lithops: expected pip install 'hpc_connector[cloud,lithops]'"
        ) from None
    logging.getLogger("lithops").setLevel(logging.ERROR)
    if settings.backend == "slurm":
        from hpc_connector.burst.lithops_slurm import register

        register()
    try:
        return lithops.FunctionExecutor(config=complete(settings.lithops))
    except Exception as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"Lithops refuses its configuration: {first_line}") from None


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration in which functions of this machine run in this Python.

    Lithops would take the first ``python3`` of the PATH.
    """
    local = {"runtime": sys.executable} | (config.get(LOCALHOST) or {})
    return config | {LOCALHOST: local}
