"""The executor of Lithops, and one line where it cannot be had."""

import sys
from pathlib import Path
from typing import Any

from hpc_connector.burst import lithops_slurm
from hpc_connector.errors import BadInput


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
    """
    try:
        import lithops
    except ImportError:
        raise BadInput(
            "Lithops is not installed: expected pip install "
            "'hpc_connector[cloud,lithops]'"
        ) from None
    lithops_slurm.register()
    complete = complete_config(config)
    try:
        return lithops.FunctionExecutor(config=complete)
    except BadInput:
        raise
    except Exception as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"Lithops refuses its configuration: {line}") from None


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
