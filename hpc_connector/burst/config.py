"""The file of a burst: the configuration of Lithops, and a section of our own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.fields import YAML, Reader, read_fields, whole
from hpc_connector.storage.address import Source
from hpc_connector.storage.stores import make_source
from hpc_connector.units import parse_bytes

FREE = ("localhost", "slurm", "vm")  # backends whose seconds are not billed
STORES = ("minio", "aws_s3", "ceph")  # whose bucket serves for what tasks need


@dataclass(frozen=True)
class Settings:
    """How tasks go to functions.

    Parameters
    ----------
    lithops
        The configuration of Lithops; never shown, for it may hold secrets.
    folder
        Where what tasks need and find is put.
    workers, memory_mb
        Functions at a time, and memory of each; 0 is yet to be chosen.
    most_workers, most_memory_mb
        Which are not exceeded by choice, nor after a function ran out of memory.
    batch_s
        Seconds of work of a function, about.
    patience_s
        After which a function that has not answered is given up, at least; and after
        which the store is.
    tries
        Functions that try the same tasks.
    """

    lithops: dict[str, Any] = field(repr=False)
    folder: Source
    workers: int = 0
    memory_mb: int = 0
    most_workers: int = 100
    most_memory_mb: int = 10240  # AWS Lambda gives no more
    eur_per_gb_s: float | None = None
    eur_per_call: float = 0.0
    batch_s: float = 30.0
    patience_s: float = 60.0
    tries: int = 3

    @property
    def backend(self) -> str:
        """Where functions run."""
        return str(self.lithops.get("lithops", {}).get("backend", "localhost"))

    def get_cost_eur(self, gb_s: float, calls: int) -> float | None:
        """Return the cost of functions, None where the price is not known.

        Parameters
        ----------
        gb_s
            Seconds of functions times the GB (2**30 bytes) of their memory.
        """
        if self.eur_per_gb_s is None:
            return None
        return gb_s * self.eur_per_gb_s + calls * self.eur_per_call


def read_settings(path: Path, workers: int | None = None) -> Settings:
    """Read the file of a burst: YAML as Lithops has it, with a section ``burst``.

    Raises
    ------
    BadInput
        A file that cannot be read, or a section that does not say where to put things.
    """
    found = read_yaml(path)
    own = found.pop("burst", None) or {}
    lithops = found.get("lithops") or {}
    own = read_fields(Settings, own, f"{path}: burst", READERS, YAML)
    store = lithops.get("storage", "")
    section = found.get(store) or {}
    folder = own.pop("folder", None) or _get_folder(store, section, path)
    endpoint = own.pop("endpoint_url", section.get("endpoint"))
    own["folder"] = make_source(folder, {"endpoint_url": endpoint} if endpoint else {})
    if workers:
        own["workers"] = workers
    backend = lithops.get("backend", "localhost")
    own.setdefault("memory_mb", _get_memory(found.get(backend) or {}))
    if backend in FREE:
        own.setdefault("eur_per_gb_s", 0.0)
    return Settings(found, **own)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a file of YAML."""
    try:
        import yaml
    except ImportError:
        raise BadInput(
            "--burst needs Lithops: expected pip install 'hpc_connector[cloud,lithops]'"
        ) from None
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{path}: cannot be read as YAML: {error}") from None
    if not isinstance(found, dict):
        raise BadInput(f"{path}: expected a configuration of Lithops")
    return found


def is_amount(value: Any) -> bool:
    """Return whether a value is a number above or at 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> str | None:
    """Return text, or None where a key has no value."""
    if not isinstance(value, str | None):
        raise ValueError("text")
    return value


def _amount(value: Any) -> float:
    """Return a number of 0 or more, which may be infinite."""
    if not is_amount(value):
        raise ValueError("a number")
    return float(value)


def _most(value: Any) -> int:
    """Return a whole number of 1 or more."""
    if whole(value) < 1:
        raise ValueError("1 or more")
    return whole(value)


READERS: dict[Any, Reader] = {
    "folder": _text,
    "endpoint_url": _text,
    "most_workers": _most,
    "most_memory_mb": _most,
    int: whole,
    float: _amount,
    float | None: _amount,
}


def _get_memory(section: dict[str, Any]) -> int:
    """Return the MB that the section of a backend gives a function, 0 if none."""
    memory_mb: Any = section.get("runtime_memory")
    if is_amount(memory_mb):
        return int(memory_mb)
    each: Any = section.get("worker_processes")  # share an element of Slurm's
    share = max(int(each), 1) if is_amount(each) else 1
    return (parse_bytes(str(section.get("mem"))) >> 20) // share


def _get_folder(store: str, section: dict[str, Any], path: Path) -> str:
    """Return the folder for what tasks need where none is given."""
    if store in STORES and section.get("storage_bucket"):
        return f"s3://{section['storage_bucket']}/hpc-connector"
    if store == "slurm" and section.get("folder"):
        return f"{section['folder']}/hpc-connector"
    raise BadInput(
        f"{path}: expected a section burst with folder: s3://bucket/prefix, or a "
        "folder that functions share"
    )
