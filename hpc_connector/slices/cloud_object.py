"""An object: indexed once, then cut in any way without reading it."""

import functools
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.partitioner import get_mpicomm
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.slices.backends import make_with
from hpc_connector.slices.data_slice import DataSlice, Format, MapChunks
from hpc_connector.slices.index import (
    Index,
    StoredIndex,
    find_index,
    load_index,
    save_index,
)
from hpc_connector.slices.strategies import check_options
from hpc_connector.storage import address
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import check_writable, get_version
from hpc_connector.storage.store import Range, Version
from hpc_connector.storage.stores import make_source

logger = logging.getLogger(__name__)

Strategy = Callable[..., list[DataSlice]]


class CloudObject:
    """An object of a format, in a store.

    Its version is that of the first look; what changes later is refused.

    Examples
    --------
    >>> from hpc_connector.slices.formats.vcf_gzip import VCFGZip, partition_num_chunks
    >>> co = CloudObject.from_path(VCFGZip, "chr22.vcf.gz").preprocess()
    >>> slices = co.partition(partition_num_chunks, num_chunks=8)
    >>> text = slices[0].get()
    """

    def __init__(self, format: Format, source: Source, metadata: str | None = None):
        self.format = format
        self.source = source
        self.metadata = address.take(os.fspath(metadata)) if metadata else None

    @classmethod
    def from_path(
        cls,
        format: Format,
        path: str,
        storage_config: dict[str, Any] | None = None,
        metadata: str | None = None,
    ) -> "CloudObject":
        """Return the object at a path; nothing is read yet.

        Parameters
        ----------
        path
            ``s3://bucket/key``, ``http(s)://...``, ``file:///path`` or a path. What
            signs a URL stays in this process; elsewhere a slice of it is read once
            ``hpc_connector.storage.address.take(URL)`` was called there.
        storage_config
            As ``hpc_connector.storage.s3.S3Settings``: ``endpoint_url``,
            ``region_name``, ``profile_name``, ``anonymous``, ``requester_pays``; no
            credentials.
        metadata
            A folder or bucket for the index, ``s3://bucket/prefix``; else beside the
            object.
        """
        return cls(format, make_source(path, storage_config), metadata)

    @functools.cached_property
    def version(self) -> Version:
        """Size and entity tag of the object."""
        return get_version(self.source)

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self.version.size

    @property
    def index_source(self) -> Source:
        """Where the index is."""
        base = self.source
        if self.metadata:
            name = address.make_path(base.uri)
            base = Source(f"{self.metadata.rstrip('/')}/{name}", base.config)
        return find_index(base, self.format.kind, self.version)

    @functools.cached_property
    def _stored(self) -> StoredIndex | None:
        return load_index(self.index_source, self.format.kind, self.version)

    def is_preprocessed(self) -> bool:
        """Return whether this version of the object has an index."""
        return self._stored is not None

    @property
    def index(self) -> Index:
        """The index.

        Raises
        ------
        BadInput
            The object was not preprocessed, or has changed since.
        """
        return self._get_stored().index

    def _get_stored(self) -> StoredIndex:
        if self._stored is None:
            raise BadInput(
                f"{self.source.uri} has no index of its present version: expected "
                "preprocess() first"
            )
        return self._stored

    @property
    def index_bytes(self) -> bytes:
        """The index as it is stored."""
        return self._get_stored().data

    @property
    def index_version(self) -> Version:
        """Size and entity tag of the index, for slices that read a part of it."""
        return self._get_stored().version

    @property
    def attributes(self) -> dict[str, Any]:
        """The facts of the index."""
        return self.index.facts

    def preprocess(
        self,
        backend: Any = None,
        force: bool = False,
        *,
        comm: Communicator | None = None,
    ) -> "CloudObject":
        """Make the index, unless there is one; return this object.

        Parameters
        ----------
        backend
            Maps a function over chunks: None for this process, ``local`` for all cores,
            ``mpi`` for all ranks, each of which calls this, ``joblib``, or an object
            with ``map(function, items)``, such as a ``LithopsPreprocessor``.
        force
            Make it anew.
        comm
            An mpi4py communicator for ``mpi``; that of all ranks if None.
        """
        if backend == "mpi" and comm is None:
            comm = get_mpicomm()
        self.version, self._stored = make_with(
            backend, lambda map_chunks: self._preprocess(map_chunks, force), comm
        )
        return self

    def _preprocess(
        self, map_chunks: MapChunks, force: bool
    ) -> tuple[Version, StoredIndex | None]:
        """Make the index, unless there is one; return it, and of what version."""
        version, stored = self.version, None if force else self._stored
        if stored is None:
            place, kind = self.index_source, self.format.kind
            check_writable(place)
            made = self.format.make_index(self.source, version, map_chunks)
            written = save_index(place, made, kind, version, force=force)
            stored = written or load_index(place, kind, version)  # of who won
        for note in stored.index.facts.get("notes", ()) if stored else ():
            logger.warning("%s: %s", self.source.uri, note)
        return version, stored

    def partition(self, strategy: Strategy, /, **options: Any) -> list[DataSlice]:
        """Cut the object; no byte of it is read.

        Raises
        ------
        BadInput
            A strategy of another format, or options that it does not take.
        """
        check_options(strategy, options)
        return strategy(self, **options)

    def make_slice(self, ranges: Sequence[Range], **facts: Any) -> DataSlice:
        """Return a slice of some ranges of the object; for strategies."""
        return DataSlice(
            self.format.name, self.source, self.version, tuple(ranges), facts
        )
