"""Energy of a node by RAPL, which Linux shows as files of counters.

A package holds its cores; memory (dram) is counted beside it. Since 2020 only root may
read the counters, on most machines: a zone that is refused is left out, and said.
"""

import glob
import os
from collections.abc import Iterator

ROOT = "/sys/class/powercap"


class Energy:
    """Counters of zones, and the energy since they were opened.

    Parameters
    ----------
    zones
        Descriptor, range and last value of each counter, in microjoules.
    notes
        What could not be read.
    """

    def __init__(self) -> None:
        """Begin with no zone."""
        self.zones: dict[str, tuple[int, int, int]] = {}
        self.notes: list[str] = []
        self.total_uj = 0

    @property
    def source(self) -> str:
        """Return where the figures come from: "rapl", or "none"."""
        return "rapl" if self.zones else "none"


def open_energy(root: str = ROOT) -> Energy:
    """Open the counters of all packages and their memory."""
    energy = Energy()
    for path in find_zones(root):
        name = os.path.basename(path)
        try:
            counter = os.open(f"{path}/energy_uj", os.O_RDONLY | os.O_CLOEXEC)
            most = int(read_text(f"{path}/max_energy_range_uj"))
            energy.zones[name] = (counter, most, int(os.pread(counter, 64, 0)))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            energy.notes.append(f"energy of {name} is not counted: {why}")
    return energy


def read_text(path: str) -> str:
    """Return the text of a file."""
    with open(path) as stream:
        return stream.read()


def find_zones(root: str) -> Iterator[str]:
    """Yield the zones to add up: not the cores, which a package holds, nor psys."""
    for path in sorted(glob.glob(f"{root}/intel-rapl:*")):
        try:
            name = read_text(f"{path}/name").strip()
        except OSError:
            continue
        if name == "dram" or name.startswith("package"):
            yield path


def read_energy(energy: Energy) -> float | None:
    """Return the joules since the counters were opened, None where there are none."""
    for name, (counter, most, last) in list(energy.zones.items()):
        try:
            now = int(os.pread(counter, 64, 0))
        except (OSError, ValueError) as error:
            energy.notes.append(f"energy of {name} is counted no longer: {error}")
            del energy.zones[name]
            continue
        energy.total_uj += get_step(last, now, most)
        energy.zones[name] = (counter, most, now)
    return energy.total_uj / 1e6 if energy.zones else None


def get_step(last: int, now: int, most: int) -> int:
    """Return how far a counter went that begins again at 0 above `most`."""
    return now - last if now >= last else now - last + most
