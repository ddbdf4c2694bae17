"""Indexes of slices, recorded with the objects that they are of."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from hpc_connector.catalogue.catalog import Catalog
from hpc_connector.catalogue.lookup import get
from hpc_connector.catalogue.records import DataSet, SliceIndex
from hpc_connector.confidential.chain import get_time
from hpc_connector.errors import BadInput
from hpc_connector.slices.cloud_object import CloudObject
from hpc_connector.slices.data_slice import DataSlice
from hpc_connector.storage.address import Source
from hpc_connector.storage.requests import look

MOST_SLICES = 4096  # that are tried: more are seldom wanted, and cost time to count
Cut = Callable[[CloudObject, int], list[DataSlice]]


def add_index(
    catalog: Catalog, one: DataSet, n: int, co: CloudObject, cut: Cut
) -> SliceIndex:
    """Index an object of a data set, if it is not yet, and record the index.

    Parameters
    ----------
    n
        Number of the object.
    co
        It, of a format.
    cut
        Cuts it to so many slices as a number says, of which some may be empty.

    Raises
    ------
    BadInput
        It has changed since it was added; see ``CloudObject.preprocess``.
    """
    each = one.objects[n]
    version = look(Source(each.url))
    if (version.size, version.etag) != (each.bytes, each.tag):
        raise BadInput(f"{each.url} has changed: expected hpc-connector catalog add")
    co.preprocess()
    index = SliceIndex(
        plugin=co.format.kind,
        url=co.index_source.uri,
        bytes=co.index_version.size,
        of_tag=each.tag,
        of_bytes=each.bytes,
        made=get_time(),
        slices_most=sum(part.n_bytes > 0 for part in cut(co, MOST_SLICES)),
    )
    told = asdict(index)

    def make() -> dict[str, Any]:
        get(catalog, one.name)
        key = {"id": one.id, "version": one.version, "n": n}
        return {"do": "index", **key, "index": told}

    catalog.write(make)
    return index
