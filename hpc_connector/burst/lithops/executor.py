"""The executor of Lithops, and one line where it cannot be had."""

import logging
import sys
from pathlib import Path
from typing import Any

from hpc_connector.burst.lithops import slurm
from hpc_connector.errors import BadInput
from hpc_connector.storage.stores import NoAnswer

SERVER_ERRORS = 500  # and above, of HTTP


def open_executor(config: dict[str, Any] | str | Path | None = None) -> Any:
    """Return an executor of Lithops, which logs warnings only; ``with`` closes it.

    Functions on this machine run in this very Python, and Slurm is one more backend.

    Parameters
    ----------
    config
        Of Lithops: what its file says, or the path of one. None for what Lithops itself
        finds: ``LITHOPS_CONFIG_FILE``, ``.lithops_config``, ``~/.lithops/config``, and
        else this machine.

    Raises
    ------
    BadInput
        Lithops is not installed, or the configuration cannot be used.
    NoAnswer
        Its store, or what runs functions, does not answer.
    """
    try:
        import lithops
    except ImportError:
        raise BadInput(
            "Lithops is not installed: expected pip install "
            "'hpc_connector[cloud,lithops]'"
        ) from None
    slurm.register()
    for handler in logging.getLogger().handlers:
        handler.addFilter(shorten)
    complete = complete_config(config)
    try:
        return lithops.FunctionExecutor(config=complete)
    except BadInput:
        raise
    except Exception as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        if is_outage(error):
            raise NoAnswer(f"Lithops: {line}") from None
        raise BadInput(f"Lithops refuses its configuration: {line}") from None


def shorten(record: logging.LogRecord) -> bool:
    """Make what Lithops logs one line: of a traceback, the last."""
    if record.name.split(".")[0] == "lithops":
        lines = record.getMessage().strip().splitlines() or [""]
        is_traceback = lines[0].startswith("Traceback")
        record.msg, record.args = lines[-1 if is_traceback else 0], ()
        record.exc_info = record.exc_text = None
    return True


def is_outage(error: Exception) -> bool:
    """Return whether an error of Lithops' clients says that nobody answers."""
    answer: Any = getattr(error, "response", None)  # of botocore
    if isinstance(answer, dict):
        code: int = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code >= SERVER_ERRORS
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ConnectionError", "HTTPClientError", "TimeoutError"})


def complete_config(config: dict[str, Any] | str | Path | None) -> dict[str, Any]:
    """Return a configuration with what Lithops does not find out by itself."""
    found: Any = config
    if not isinstance(config, dict):
        from lithops.config import load_config

        try:
            found = load_config(None if config is None else str(config), log=False)
        except Exception as error:  # of YAML, or of the file
            line = str(error).splitlines()[0]
            raise BadInput(f"{config}: no configuration of Lithops: {line}") from None
        if not isinstance(found, dict):
            raise BadInput(f"{config}: no configuration of Lithops: expected sections")
    sections = {name: dict(section or {}) for name, section in found.items()}
    own = sections.setdefault("lithops", {})
    own.setdefault("log_level", "WARNING")
    if own.get("backend", own.get("mode")) == "localhost":
        here = sections.setdefault("localhost", {})
        here.setdefault("runtime", sys.executable)
    return sections
