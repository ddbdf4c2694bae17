"""Ion images on all ranks, each made once: PNG files, and chunks of results.h5.

A task makes the images of a few ions. It writes their files, and packs those chunks of
the columns of results.h5 that begin among their values; for the last of a column it
makes images of ions after its own as well. Where the values of an ion belong is known
beforehand, since pixels are counted in no time. The chunks wait in files until rank 0
puts them together: no rank holds more than what it works on, but for the small pictures
of a page.
"""

import io
import itertools
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np

from hpc_connector.learner.annotation.ion_images import (
    Grid,
    ImageSet,
    add_up,
    count_pixels,
    get_images,
    get_mz_errors,
)
from hpc_connector.partitioner.communicator import Communicator
from hpc_connector.partitioner.ending import end_together
from hpc_connector.pipeline.ranks import run_on_ranks
from hpc_connector.pipeline.terminal import make_progress
from hpc_connector.storer.chunks import PackedColumn, get_borders, pack_chunks
from metabolite_annotation.annotations import Annotations
from metabolite_annotation.options import Options
from metabolite_annotation.output.chest import Chest, open_chest
from metabolite_annotation.output.images import (
    Named,
    archive_ion,
    publish_archive,
    save_ion,
)
from metabolite_annotation.patterns import Patterns
from metabolite_annotation.report.images import (
    Packed,
    Pictures,
    choose_pictures,
    pack_images,
)
from metabolite_annotation.report.run_file import IonImages
from metabolite_annotation.spectra import Spectra

IMAGES = "images"
FEWEST_TASKS = 64  # where there are as many ions
MOST_VALUES = 1 << 20  # of a task, unless an ion alone has more
TYPES: dict[str, type[np.number[Any]]] = {
    "pixel": np.uint32,
    "intensity": np.float32,
    "mz_error": np.int16,
}


class Plan(NamedTuple):
    """The annotated ions, and what is known of their images before they are made.

    Parameters
    ----------
    ion
        Rows of the patterns, ascending, int64 (ions,).
    names
        Of the images of each; none where another ion has taken the name.
    n_pixels
        Of each image, int64 (ions, images).
    cuts
        The first ion of each task, and the end, int64 (tasks + 1,).
    image
        The place in `ion` of that of each annotation, best first, int64 (n,).
    """

    ion: np.ndarray
    names: list[list[Named]]
    n_pixels: np.ndarray
    cuts: np.ndarray
    image: np.ndarray

    def get_start(self, column: str) -> np.ndarray:
        """Return where the values of each ion begin in a column, int64 (ions + 1,)."""
        first_only = column == "mz_error"
        return add_up(self.n_pixels[:, 0] if first_only else self.n_pixels.sum(axis=1))


class Part(NamedTuple):
    """What a task tells of its ions: statistics, and the bytes of its chunks.

    Parameters
    ----------
    moments
        Mean and standard deviation of m/z, and total intensity, float64
        (3, ions, images).
    n_bytes
        Of each chunk, by column.
    pictures
        Of the ions that a page shows, by their place among all.
    """

    moments: np.ndarray
    n_bytes: dict[str, list[int]]
    pictures: dict[int, Packed]


class Stored(NamedTuple):
    """The images of a run, once they are made: parts of tasks, and where files are."""

    plan: Plan
    parts: list[Part]
    chest: Chest

    def get_pictures(self) -> dict[int, Packed]:
        """Return the pictures of all ions that a page shows."""
        return {ion: one for part in self.parts for ion, one in part.pictures.items()}

    def list_columns(self) -> dict[str, PackedColumn]:
        """Return the columns that are packed, by name."""
        ends = {name: self.plan.get_start(name)[-1] for name in TYPES}
        return {name: PackedColumn(int(ends[name]), TYPES[name]) for name in TYPES}

    def read_chunks(self) -> Iterator[tuple[str, bytes]]:
        """Yield the chunks of one column after the other, each with its name."""
        for name in TYPES:
            for number, part in enumerate(self.parts):
                data = self.chest.read(number, name)
                ends = np.cumsum(part.n_bytes[name]).tolist()
                for first, last in itertools.pairwise([0, *ends]):
                    yield name, data[first:last]


def make_images(
    comm: Communicator,
    options: Options,
    spectra: Spectra,
    patterns: Patterns,
    annotations: Annotations | None,
    first: Callable[[], None],
    is_stopped: threading.Event | None = None,
) -> Stored | None:
    """Make the images of all annotated ions on all ranks, and their files.

    Parameters
    ----------
    annotations
        On rank 0.
    first
        Work for rank 0, which it does while the others make images.
    is_stopped
        As in :func:`~hpc_connector.pipeline.ranks.run_on_ranks`.

    Returns
    -------
    None after a stop signal; and but on rank 0, no parts.
    """
    chest = open_chest(comm, options.out / "chunks.partial")
    pictures = options.out / "images.partial"
    with end_together(comm):
        if comm.rank == 0 and not chest.reader:
            pictures.mkdir(exist_ok=True)
    plan = make_plan(comm, spectra, patterns, annotations, options.ppm)
    grid = spectra.grid
    shown = choose_pictures(plan.image, grid.x, grid.y, (grid.width, grid.height))
    found: dict[int, Part] = {}

    def run_task(number: int, thread: int) -> None:
        images, errors = draw(number, plan, spectra, patterns, options.ppm)
        named = plan.names[slice(*plan.cuts[number:][:2])]
        if chest.reader:
            chest.save(number, IMAGES, archive_ions(named, grid, images))
        else:
            for k, names in enumerate(named):
                save_ion(pictures, names, grid, images, k)
        small = pack_pictures(number, plan, shown, images, errors)
        found[number] = save_part(chest, number, plan, images, errors, small)

    outcome = run_on_ranks(
        comm,
        run_task,
        range(len(plan.cuts) - 1),
        lambda *_: None,
        threads=options.threads,
        show=make_progress(quiet=options.quiet),
        first=first if comm.rank == 0 else None,
        is_stopped=is_stopped,
    )
    shares = comm.gather(found) or []
    known = {number: part for share in shares for number, part in share.items()}
    if not outcome.is_done:
        return None
    return Stored(plan, [known[number] for number in sorted(known)], chest)


def archive_ions(
    named: Sequence[Sequence[Named]], grid: Grid, images: ImageSet
) -> bytes:
    """Return an archive of the images of some ions, which have these names."""
    target = io.BytesIO()
    with ZipFile(target, "w") as archive:
        for k, names in enumerate(named):
            archive_ion(archive, names, grid, images, k)
    return target.getvalue()


def publish_images(out: Path, stored: Stored) -> None:
    """Give the folder of images its name, or put them into one file that is encrypted.

    What tasks had left for rank 0 is removed.
    """
    chest = stored.chest
    if chest.reader:
        numbers = range(len(stored.parts))
        publish_archive(out / f"{IMAGES}.zip", (chest.read(n, IMAGES) for n in numbers))
    else:
        shutil.rmtree(out / IMAGES, ignore_errors=True)
        (out / "images.partial").rename(out / IMAGES)
    chest.remove()


def make_plan(
    comm: Communicator,
    spectra: Spectra,
    patterns: Patterns,
    annotations: Annotations | None,
    ppm: float,
) -> Plan:
    """Return the plan on every rank; each counts the pixels of a share of the ions."""
    ion, names, image = comm.bcast(list_ions(annotations) if annotations else None)
    mz = patterns.mz[ion]
    count = np.zeros(mz.shape, np.int64)
    own = count_pixels(spectra.peaks, spectra.grid, mz[comm.rank :: comm.size], ppm=ppm)
    for rank, share in enumerate(comm.allgather(own)):
        count[rank :: comm.size] = share
    return Plan(ion, names, count, cut(count.sum(axis=1)), image)


def list_ions(
    annotations: Annotations,
) -> tuple[np.ndarray, list[list[Named]], np.ndarray]:
    """Return the annotated ions, the names of the images of each, and whose each is.

    Annotations of one name in several databases have the same images; were they not,
    those of the last would be kept.
    """
    columns = annotations.columns
    pairs = zip(columns["formula"], columns["adduct"], strict=True)
    ion_of = dict(zip(pairs, annotations.ion.tolist(), strict=True))
    names: dict[int, list[Named]] = {
        ion: [] for ion in sorted(annotations.ion.tolist())
    }
    for name in sorted(ion_of):
        names[ion_of[name]].append(name)
    ion = np.array(list(names), np.int64)
    return ion, list(names.values()), np.searchsorted(ion, annotations.ion)


def cut(n_values: np.ndarray) -> np.ndarray:
    """Return the first ion of each task, and the end, from the values of ions.

    Tasks do not depend on ranks or threads: their number would be in the file.
    """
    end = np.cumsum(n_values)
    total = end[-1] if len(end) else 0
    most = np.clip(total // FEWEST_TASKS, 1, MOST_VALUES)
    changes = np.flatnonzero(np.diff((end - n_values) // most))
    return np.unique([0, *(changes + 1), len(n_values)])


def draw(
    number: int, plan: Plan, spectra: Spectra, patterns: Patterns, ppm: float
) -> tuple[ImageSet, np.ndarray]:
    """Return images and m/z errors of the ions of a task, and of some after them.

    These are as many as the last chunks need.
    """
    first, last = plan.cuts[number : number + 2].tolist()
    end = last
    for name in TYPES:
        start = plan.get_start(name)
        end = max(end, int(np.searchsorted(start, get_borders(start)[last])))
    mz = patterns.mz[plan.ion[first:end]]
    images = get_images(spectra.peaks, spectra.grid, mz, ppm=ppm)
    errors = get_mz_errors(spectra.peaks, spectra.grid, mz, images, ppm=ppm)
    return images, errors


def pack_pictures(
    number: int, plan: Plan, shown: Pictures, images: ImageSet, errors: np.ndarray
) -> dict[int, Packed]:
    """Return those of a task's ions that a page shows, as it embeds them.

    Parameters
    ----------
    images, errors
        Of these ions, and some after them.
    """
    first, last = plan.cuts[number : number + 2].tolist()
    begin = plan.get_start("mz_error")[first : last + 1]
    begin = (begin - begin[0]).tolist()
    n = images.total.shape[1]
    packed = {}
    for ion in set(shown.ions) & set(range(first, last)):
        k = ion - first
        ends = images.start[n * k : n * (k + 1) + 1].tolist()
        four = [
            (images.pixel[a:b], images.intensity[a:b])
            for a, b in itertools.pairwise(ends)
        ]
        of_ion = IonImages(four, errors[begin[k] : begin[k + 1]])
        packed[ion] = pack_images(shown.grid, of_ion)
    return packed


def save_part(
    chest: Chest,
    number: int,
    plan: Plan,
    images: ImageSet,
    errors: np.ndarray,
    pictures: dict[int, Packed],
) -> Part:
    """Pack the chunks that begin among the values of a task's ions, for rank 0.

    Parameters
    ----------
    images, errors
        Of these ions, and some after them.
    pictures
        Of these ions, as a page embeds them.
    """
    first, last = plan.cuts[number : number + 2].tolist()
    columns = {"pixel": images.pixel, "intensity": images.intensity, "mz_error": errors}
    n_bytes = {}
    for name, values in columns.items():
        start = plan.get_start(name)
        a, b = get_borders(start)[[first, last]] - start[first]
        chunks = pack_chunks(values[a:b], ascending=name == "pixel")
        chest.save(number, name, b"".join(chunks))
        n_bytes[name] = [len(chunk) for chunk in chunks]
    moments = np.stack([images.mz_mean, images.mz_std, images.total])
    return Part(moments[:, : last - first], n_bytes, pictures)
