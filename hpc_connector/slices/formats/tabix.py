"""The index of positions beside an object in bgzip, .tbi or .csi."""

from hpc_connector.loader.tabix import Tabix, read_tabix
from hpc_connector.slices.formats.blocks import inflate
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import list_beside, read_beside


def find_tabix(source: Source, endings: tuple[str, ...]) -> Tabix | None:
    """Return the index beside a file, the first there is."""
    names = [name for ending in endings for name in list_beside(source.uri, ending)]
    for name in names:
        found = read_beside(Source(name, source.config))
        if found is not None:
            return read_tabix(inflate(found[0], name, 0), name)
    return None
