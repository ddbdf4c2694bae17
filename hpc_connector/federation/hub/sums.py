"""Sums of masked blocks: unfinished ones in memory, finished ones on the disk."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from hpc_connector.confidential.refused import Refused
from hpc_connector.errors import BadInput
from hpc_connector.federation.hub.block_file import BlockFile, Name
from hpc_connector.federation.hub.wire import UNDER_WAY, Header, name_block
from hpc_connector.federation.masks import Numbers

State = Literal["done", "waits", "lost"]


@dataclass
class Unfinished:
    """A block that not all sites have sent; what has come is added up already.

    Parameters
    ----------
    header
        Of the first message.
    crcs
        CRC-32 of the messages, by site.
    """

    header: Header
    total: Numbers
    crcs: dict[str, int] = field(default_factory=dict)


class Sums:
    """The sums of an attempt; one thread at a time calls a method, but for ``save``.

    Parameters
    ----------
    names
        Of the sites.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.names = names
        self.file = BlockFile(path, len(names))
        self.unfinished: dict[Name, Unfinished] = {}

    def take(self, site: str, header: Header, numbers: Numbers) -> bool:
        """Add the numbers of a site, once; return whether they were the last.

        Then the sum is to be saved. The numbers are kept.

        Raises
        ------
        Refused
            The site has sent too many blocks that others have not.
        BadInput
            Another message of that block has come from this site, or one of another
            size from another site.
        """
        name = header.stage, header.block
        block = self.unfinished.get(name)
        if (crc := self.find(site, name)) is not None:
            if crc != header.crc:
                raise BadInput(
                    f"site {site} sent {name_block(*name)} twice, and not the same"
                )
            return False
        if self.count_under_way(site) >= UNDER_WAY:
            raise Refused("blocks", f"expected {UNDER_WAY} under way at most")
        if block is None:
            block = self.unfinished[name] = Unfinished(header, numbers)
        elif block.header[:4] != header[:4]:
            raise BadInput(
                f"{name_block(*name)}: {describe(block.header)} of site "
                f"{next(iter(block.crcs))}, {describe(header)} of site {site}"
            )
        else:
            np.add(block.total, numbers, out=block.total)
        block.crcs[site] = header.crc
        return len(block.crcs) == len(self.names)

    def find(self, site: str, name: Name) -> int | None:
        """Return the CRC-32 of what a site has sent of a block, None if nothing."""
        if name in self.file.kept:
            return self.file.kept[name].crcs[self.names.index(site)]
        block = self.unfinished.get(name)
        return None if block is None else block.crcs.get(site)

    def count_under_way(self, site: str) -> int:
        """Return how many blocks a site has sent that are not on the disk."""
        sent = [n for n, block in self.unfinished.items() if site in block.crcs]
        return sum(name not in self.file.kept for name in sent)

    def save(self, name: Name) -> None:
        """Write a sum that is complete; it is on the disk when this returns."""
        block = self.unfinished[name]
        crcs = tuple(block.crcs[site] for site in self.names)
        self.file.put(name, block.total, crcs)

    def forget(self, name: Name) -> None:
        """Drop a sum from memory, if it is on the disk."""
        if name in self.file.kept:
            del self.unfinished[name]

    def get_state(self, site: str, name: Name) -> State:
        """Return whether a block is done, waits for others, or is to be sent."""
        if name in self.file.kept:
            return "done"
        return "lost" if self.find(site, name) is None else "waits"

    def list_lacking(self, name: Name) -> list[str]:
        """Return the sites that have not sent a block."""
        block = self.unfinished.get(name)
        sent = block.crcs if block else {}
        return [site for site in self.names if site not in sent]


def describe(header: Header) -> str:
    """Return how many numbers a message has, of how many bits."""
    return f"{header.size} numbers of {header.bits} bits"
