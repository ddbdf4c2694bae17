"""A storage of Lithops in a folder that all nodes share: a bucket is a folder in it.

For clusters whose nodes reach no S3. Lithops has such a storage for one machine, but
keeps it from other backends, and its objects can be read while they are half written.
"""

import glob
import io
import shutil
import types
import uuid
from pathlib import Path
from typing import Any

BUCKET = "storage"
PARTIAL = ".partial"


class StorageBackend:
    """What Lithops asks of a storage; the names are Lithops'."""

    def __init__(self, config: dict[str, Any]):
        self.folder = Path(config["folder"])

    def get_client(self) -> "StorageBackend":
        """Return the client that functions of a user read with."""
        return self

    def put_object(self, bucket_name: str, key: str, data: Any) -> None:
        """Write an object, which is whole once it has its name."""
        path = self.folder / bucket_name / key
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
        with open(partial, "wb") as stream:
            if hasattr(data, "read"):
                shutil.copyfileobj(data, stream)
            else:
                stream.write(data.encode() if isinstance(data, str) else data)
        partial.replace(path)

    def get_object(
        self,
        bucket_name: str,
        key: str,
        stream: bool = False,
        extra_get_args: dict[str, str] | None = None,
    ) -> Any:
        """Return an object, or a range of its bytes, as bytes or as a stream."""
        with self._open(bucket_name, key) as found:
            wanted = (extra_get_args or {}).get("Range")
            if wanted:
                first, last = map(int, wanted.removeprefix("bytes=").split("-"))
                found.seek(first)
                data = found.read(last - first + 1)
            else:
                data = found.read()
        return io.BytesIO(data) if stream else data

    def _open(self, bucket_name: str, key: str) -> Any:
        try:
            return open(self.folder / bucket_name / key, "rb")
        except (FileNotFoundError, IsADirectoryError):
            from lithops.storage.utils import StorageNoSuchKeyError

            raise StorageNoSuchKeyError(bucket_name, key) from None

    def upload_file(self, file_name: str, bucket: str, key: str, *_: Any) -> bool:
        """Write a file as an object."""
        with open(file_name, "rb") as stream:
            self.put_object(bucket, key, stream)
        return True

    def download_file(self, bucket: str, key: str, file_name: str, *_: Any) -> bool:
        """Write an object to a file."""
        Path(file_name).write_bytes(self.get_object(bucket, key))
        return True

    def head_object(self, bucket_name: str, key: str) -> dict[str, str]:
        """Return the size of an object."""
        with self._open(bucket_name, key) as found:
            return {"content-length": str(found.seek(0, 2))}

    def head_bucket(self, bucket_name: str) -> dict[str, Any]:
        """Return that there is such a bucket."""
        return {"ResponseMetadata": {"HTTPStatusCode": 200}}

    def delete_object(self, bucket_name: str, key: str) -> None:
        """Remove an object."""
        (self.folder / bucket_name / key).unlink(missing_ok=True)

    def delete_objects(self, bucket_name: str, key_list: list[str]) -> None:
        """Remove objects."""
        for key in key_list:
            self.delete_object(bucket_name, key)

    def list_keys(self, bucket_name: str, prefix: str | None = None) -> list[str]:
        """Return the keys that begin with a prefix."""
        bucket = self.folder / bucket_name
        folder, _, start = (prefix or "").rpartition("/")
        found = (
            path
            for near in (bucket / folder).glob(glob.escape(start) + "*")
            for path in (near.rglob("*") if near.is_dir() else [near])
            if path.is_file() and path.suffix != PARTIAL
        )
        keys = (path.relative_to(bucket).as_posix() for path in found)
        return sorted(key for key in keys if key.startswith(prefix or ""))

    def list_objects(
        self, bucket_name: str, prefix: str | None = None
    ) -> list[dict[str, Any]]:
        """Return keys and sizes of the objects whose keys begin with a prefix."""
        bucket = self.folder / bucket_name
        keys = self.list_keys(bucket_name, prefix)
        return [{"Key": key, "Size": (bucket / key).stat().st_size} for key in keys]


def make_modules(name: str) -> dict[str, types.ModuleType]:
    """Return the modules in which Lithops looks for a storage of a name."""
    storage, config = types.ModuleType(name), types.ModuleType(f"{name}.config")
    storage.StorageBackend = StorageBackend  # type: ignore[attr-defined]
    config.load_config = load_config  # type: ignore[attr-defined]
    return {storage.__name__: storage, config.__name__: config}


def load_config(config: dict[str, Any]) -> None:
    """Complete a configuration; who uses the folder cleans it up.

    The process by which Lithops would do so knows no storage but its own.
    """
    config["lithops"]["data_cleaner"] = False
    config["lithops"].setdefault("monitoring_interval", 1)
    config["slurm"].setdefault("storage_bucket", BUCKET)
