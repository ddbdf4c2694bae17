"""The apps that are installed: found by entry points, of which nothing is imported."""

from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from hpc_connector.apps.app import FILE
from hpc_connector.errors import BadInput

GROUP = "hpc_connector.apps"  # NAME = PACKAGE, whose folder has the app.toml


def find_installed() -> dict[str, Path]:
    """Return the folders of the apps that are installed, by their names."""
    found = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        spec = find_spec(entry.value)
        places = (spec and spec.submodule_search_locations) or [entry.value]
        found[entry.name] = Path(next(iter(places)))
    return found


def find_folder(word: str) -> Path:
    """Return the folder of an app, which is named or is that of one installed.

    Raises
    ------
    BadInput
        It is neither.
    """
    if (Path(word) / FILE).exists() or Path(word).is_dir():
        return Path(word)
    installed = find_installed()
    if word not in installed:
        raise BadInput(
            f"{word}: expected a folder with {FILE}, or one of "
            f"{', '.join(installed) or 'no apps that are installed'}"
        )
    return installed[word]
