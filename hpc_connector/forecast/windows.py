"""Counters and levels to windows that do not overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpc_connector.errors import BadInput
from hpc_connector.telemetry.counters import get_cpu_steps
from hpc_connector.telemetry.records import open_parquet
from hpc_connector.telemetry.samples import Samples, read_samples

TARGETS = ("cpu", "memory")  # cores, mean of a window; bytes, its maximum
TABLE = ("series", "group", "start_s", "end_s", *TARGETS)
WIDTH_S = 10.0


@dataclass(frozen=True)
class Series:
    """Windows of one run, or one rank of it, one after the other.

    Parameters
    ----------
    name
        Of the series.
    run
        It is of; the series of a run are split together.
    group
        Of runs that are alike: a program.
    start_s
        Unix time at which the first window starts.
    values
        Of the targets, shape (n, 2); NaN where there was no sample.
    part
        "train" or "test" of each window where the user has split them; else empty.
    """

    name: str
    run: str
    group: str
    start_s: float
    width_s: float
    values: NDArray[np.float64]
    part: tuple[str, ...] = ()


def check_step(width_s: float, step_s: float) -> None:
    """Refuse windows that overlap, and say why.

    Raises
    ------
    BadInput
        A step shorter than a window.
    """
    if not width_s > 0 or not step_s > 0:
        raise BadInput(f"a window of {width_s:g} s: expected a length above 0")
    if step_s < width_s - 1e-6:
        raise BadInput(
            f"windows of {width_s:g} s every {step_s:g} s share "
            f"{100 * (1 - step_s / width_s):.0f} % of their samples: the last value "
            "would then look like a near-perfect forecast; expected a step of "
            f"{width_s:g} s or more"
        )


def make_windows(
    clock_s: NDArray[np.float64],
    cpu_s: NDArray[np.float64],
    memory_bytes: NDArray[np.float64],
    *,
    width_s: float = WIDTH_S,
    step_s: float | None = None,
) -> NDArray[np.float64]:
    """Return mean cores and maximal memory of each whole window.

    Parameters
    ----------
    clock_s, cpu_s, memory_bytes
        Of samples in order of time, shape (n,); `cpu_s` is a counter.
    step_s
        From one window to the next, a window's width by default.

    Returns
    -------
    Shape (windows, 2); NaN where a window holds no sample. All that is counted
    between the first sample and the end of the last window is in a window, for the
    default step.

    Raises
    ------
    BadInput
        Windows that overlap.
    """
    step_s = width_s if step_s is None else step_s
    check_step(width_s, step_s)
    if len(clock_s) < 2:
        return np.full((0, 2), np.nan)
    n = int((clock_s[-1] - clock_s[0] - width_s) / step_s + 1 + 1e-9)
    begin = clock_s[0] + step_s * np.arange(max(n, 0))
    counted = np.cumsum([0.0, *get_cpu_steps(cpu_s.tolist(), clock_s.tolist())])
    used = np.interp(begin + width_s, clock_s, counted)
    used -= np.interp(begin, clock_s, counted)
    values = np.full((len(begin), 2), np.nan)
    first, last = (np.searchsorted(clock_s, t - 1e-9) for t in (begin, begin + width_s))
    for k in np.flatnonzero(last > first):
        values[k] = used[k] / width_s, memory_bytes[first[k] : last[k]].max()
    return values


def make_series(
    samples: Sequence[Samples],
    run: str,
    group: str,
    *,
    width_s: float = WIDTH_S,
    step_s: float | None = None,
) -> list[Series]:
    """Return the windows of a run: one series a node and one a rank.

    Parameters
    ----------
    run, group
        Names of the run, and of its program.
    width_s
        Of a window.
    step_s
        From one to the next, `width_s` if None.

    Raises
    ------
    BadInput
        Windows that overlap.
    """
    made = []
    for s in samples:
        values = make_windows(
            s.clock_s, s.cpu_s, s.memory_bytes, width_s=width_s, step_s=step_s
        )
        name = f"{s.node} rank {s.rank}" if s.rank >= 0 else s.node
        step = width_s if step_s is None else step_s
        made.append(Series(name, run, group, float(s.clock_s[0]), step, values))
    return made


def read_series(
    path: Path, width_s: float = WIDTH_S, step_s: float | None = None
) -> list[Series]:
    """Return the windows of a run's folder, or of a Parquet table of windows.

    Raises
    ------
    BadInput
        Neither, or windows that overlap.
    """
    if path.suffix == ".parquet":
        return read_table(path)
    run = path.resolve().name
    return make_series(
        read_samples(path), run, get_group(path), width_s=width_s, step_s=step_s
    )


def get_group(directory: Path) -> str:
    """Return the program of a run; nothing where there is no manifest."""
    from hpc_connector.manifest import NAME, read_manifest

    if not (directory / NAME).exists():
        return ""
    return str(read_manifest(directory).get("program", ""))


def read_table(path: Path) -> list[Series]:
    """Return the series of a table of windows that somebody else made.

    Raises
    ------
    BadInput
        Columns that are not there, or windows that overlap.
    """
    with open_parquet(path) as file:
        table = file.read()
    if missing := [name for name in TABLE if name not in table.column_names]:
        raise BadInput(
            f"{path}: no column {', '.join(missing)}; expected {', '.join(TABLE)}"
        )
    wanted = [name for name in (*TABLE, "part") if name in table.column_names]
    columns = {n: np.asarray(table[n]) for n in wanted}
    order = np.lexsort((columns["start_s"], columns["series"]))
    columns = {name: column[order] for name, column in columns.items()}
    cuts = np.flatnonzero(columns["series"][1:] != columns["series"][:-1]) + 1
    parts = np.split(np.arange(len(order)), cuts)
    return [
        _take_series(path, {name: c[part] for name, c in columns.items()})
        for part in parts
        if len(part)
    ]


def _take_series(path: Path, columns: dict[str, np.ndarray]) -> Series:
    """Return one series of a table; windows that are missing become NaN."""
    start_s, name = columns["start_s"].astype(float), str(columns["series"][0])
    width_s = float(np.median(columns["end_s"] - start_s))
    steps = np.diff(start_s)
    try:
        check_step(width_s, float(steps.min()) if len(steps) else width_s)
    except BadInput as error:
        raise BadInput(f"{path}: {name}: {error}") from None
    place = np.rint((start_s - start_s[0]) / width_s).astype(int)
    values = np.full((place[-1] + 1, len(TARGETS)), np.nan)
    values[place] = np.column_stack([columns[target] for target in TARGETS])
    part: tuple[str, ...] = ()
    if "part" in columns:
        words = np.full(len(values), "", dtype=object)
        words[place] = columns["part"]
        part = tuple(map(str, words))
    group = str(columns["group"][0])
    return Series(name, name, group, float(start_s[0]), width_s, values, part)
