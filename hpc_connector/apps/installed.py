"""The apps that are installed: found by entry points, of which nothing is imported."""

import contextlib
import logging
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from hpc_connector.apps.app import FILE
from hpc_connector.errors import BadInput

logger = logging.getLogger(__name__)

GROUP = "hpc_connector.apps"  # NAME = PACKAGE, whose folder has the app.toml


def find_installed() -> dict[str, Path]:
    """Return the folders of the apps that are installed, by their names.

    One whose package is not there is left out, and that is logged.
    """
    found = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        spec = None
        with contextlib.suppress(ImportError, ValueError):
            spec = find_spec(entry.value)
        if spec is not None and spec.submodule_search_locations:
            found[entry.name] = Path(next(iter(spec.submodule_search_locations)))
        else:
            said = "%s is left out: there is no package %s"
            logger.warning(said, entry.name, entry.value)
    return found


def find_folder(word: str) -> Path:
    """Return the folder of an app, which is named or is that of one installed.

    A folder without an ``app.toml``, such as results that have the name of their
    program, stands behind an app that is installed.

    Raises
    ------
    BadInput
        It is neither.
    """
    installed = {} if (Path(word) / FILE).exists() else find_installed()
    if word not in installed and Path(word).is_dir():
        return Path(word)
    if word not in installed:
        raise BadInput(
            f"{word}: expected a folder with {FILE}, or one of "
            f"{', '.join(installed) or 'no apps that are installed'}"
        )
    return installed[word]
