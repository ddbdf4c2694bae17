"""The forms of an export: the files of each, and the library that writes it."""

from collections.abc import Iterable
from importlib.util import find_spec

from hpc_connector.errors import BadInput
from hpc_connector.options import takes
from hpc_connector.publish import get_readers

CSV, ANNDATA = "pixel_intensities.csv.gz", "annotations.h5ad"
SPATIALDATA, IMZML = "annotations.zarr", "annotated_peaks.imzML"
METASPACE = "metaspace_annotations.csv"
EXPORTS = {
    "csv": (CSV,),
    "anndata": (ANNDATA,),
    "spatialdata": (SPATIALDATA,),
    "imzml": (IMZML, "annotated_peaks.ibd"),
    "metaspace": (METASPACE,),
}
LIBRARIES = {"anndata": "anndata", "spatialdata": "spatialdata", "imzml": "pyimzml"}
NORMS = ("none", "tic", "rms", "median")  # what intensities are divided by


@takes("string", many="commas", choices=list(EXPORTS))
def read_exports(text: str) -> tuple[str, ...]:
    """Return the forms in a list with commas, each once.

    Raises
    ------
    BadInput
        One that there is not.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := set(names) - EXPORTS.keys():
        raise BadInput(f"{min(unknown)}: expected some of {', '.join(EXPORTS)}")
    return tuple(dict.fromkeys(names))


def check_exports(formats: Iterable[str]) -> None:
    """Refuse a form whose library is not there, before any work is done.

    Raises
    ------
    BadInput
        With the extra that installs it.
    """
    for name in formats:
        library = LIBRARIES.get(name)
        if library and find_spec(library) is None:
            raise BadInput(
                f"--export {name} needs {library}: expected "
                f"pip install 'hpc_connector[{name}]'"
            )


def check_folders(formats: Iterable[str]) -> None:
    """Refuse a form that is a folder of files where results are encrypted.

    Raises
    ------
    BadInput
        Which it is.
    """
    if get_readers() and "spatialdata" in formats:
        raise BadInput(
            "--export spatialdata writes a folder of files: not for --encrypt-to"
        )


def list_outputs(formats: Iterable[str]) -> list[str]:
    """Return the files that exports make."""
    return [file for name in formats for file in EXPORTS[name]]
