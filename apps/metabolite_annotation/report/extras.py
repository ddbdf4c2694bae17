"""What a page is given beyond what a run finds: kept beside it, for the next page.

``page.json`` has the size of a pixel and the place of ``optical.jpg``;
``regions.geojson`` has the regions, whose intensities are in ``regions.tsv``.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hpc_connector.confidential.published import is_published, read_published
from hpc_connector.errors import BadInput
from hpc_connector.manifest import add_outputs, read_record, save_record
from hpc_connector.publish import name_outputs, publish
from hpc_connector.storer.results import save_table
from metabolite_annotation.options import PageOptions
from metabolite_annotation.report.optical import OpticalImage, read_optical
from metabolite_annotation.report.regions import (
    Region,
    find_pixels,
    list_rows,
    make_geojson,
    read_regions,
)
from metabolite_annotation.report.run_file import AnnotationRun, read_images
from metabolite_annotation.schema import REGIONS

PAGE, OPTICAL, GEOJSON, TABLE = (
    "page.json",
    "optical.jpg",
    "regions.geojson",
    "regions.tsv",
)


class Extras(NamedTuple):
    """What a page has beyond what a run finds.

    Parameters
    ----------
    pixel_size_um
        Along x and y, instead of the file's; None for that.
    """

    pixel_size_um: tuple[float, float] | None = None
    optical: OpticalImage | None = None
    regions: tuple[Region, ...] = ()


def read_given(options: PageOptions) -> Extras:
    """Return what options give.

    Raises
    ------
    BadInput
        A file that cannot be used.
    """
    if options.optical_transform and not options.optical:
        raise BadInput("--optical-transform: expected --optical with it")
    optical = regions = None
    if options.optical:
        optical = read_optical(options.optical, options.optical_transform)
    if options.regions:
        regions = read_regions(options.regions)
    return Extras(options.pixel_size, optical, tuple(regions or ()))


def add_extras(
    run: AnnotationRun, options: PageOptions | None
) -> tuple[AnnotationRun, Extras]:
    """Keep what options give beside a run; return it with what was given before.

    Raises
    ------
    BadInput
        A file that cannot be used.
    """
    kept, given = read_kept(run.directory), read_given(options or PageOptions())
    extras = Extras(
        given.pixel_size_um or kept.pixel_size_um,
        given.optical or kept.optical,
        given.regions or kept.regions,
    )
    if extras.pixel_size_um:
        run = replace(run, pixel_size_um=list(extras.pixel_size_um))
    saved = []
    if given.pixel_size_um or given.optical:
        saved += save_page_part(run.directory, extras)
    if given.regions:
        saved += save_regions(run, extras.regions)
    if saved:
        run.record["outputs"] = add_outputs(run.directory, name_outputs(saved))
    return run, extras


def save_page_part(directory: Path, extras: Extras) -> list[str]:
    """Write the size of a pixel and the optical image; return the names of files."""
    record: dict[str, Any] = {"pixel_size_um": extras.pixel_size_um, "optical": None}
    saved = [PAGE]
    if optical := extras.optical:
        record["optical"] = optical._replace(jpeg=b"")._asdict() | {"jpeg": OPTICAL}
        with publish(directory / OPTICAL) as stream:
            stream.write(optical.jpeg)
        saved.append(OPTICAL)
    save_record(directory / PAGE, record)
    return saved


def save_regions(run: AnnotationRun, regions: tuple[Region, ...]) -> list[str]:
    """Write regions and the intensities in them; return the names of files."""
    with publish(run.directory / GEOJSON) as stream:
        stream.write(json.dumps(make_geojson(list(regions))).encode())
    save_table(run.directory / TABLE, measure_regions(run, list(regions)))
    return [GEOJSON, TABLE]


def measure_regions(run: AnnotationRun, regions: list[Region]) -> dict[str, list[Any]]:
    """Return the intensities of each annotation in each region, as columns."""
    x, y = run.pixels["x"], run.pixels["y"]
    masks = [find_pixels(region, x, y) for region in regions]
    ions = sorted(set(run.rows["image"].tolist()))
    of_ion = {
        ion: list(list_rows(regions, masks, found.images[0]))
        for ion, found in zip(ions, read_images(run, ions), strict=True)
    }
    named = ("formula", "adduct", "ion", "database", "mz")
    rows = [
        (*(run.rows[name][n] for name in named), *row)
        for n, ion in enumerate(run.rows["image"].tolist())
        for row in of_ion[ion]
    ]
    return {name: [row[k] for row in rows] for k, name in enumerate(REGIONS.names)}


def read_kept(directory: Path) -> Extras:
    """Return what earlier pages of a run were given.

    Raises
    ------
    BadInput
        A file that is damaged.
    """
    regions: tuple[Region, ...] = ()
    if is_published(directory / GEOJSON):
        regions = tuple(read_regions(directory / GEOJSON))
    if not is_published(directory / PAGE):
        return Extras(regions=regions)
    record = read_record(directory / PAGE, "a record of a page", "")
    try:
        size, told = record["pixel_size_um"], record["optical"]
        optical = told and OpticalImage(
            read_published(directory / OPTICAL),
            int(told["width"]),
            int(told["height"]),
            told["transform"] and tuple(map(float, told["transform"])),
            (int(told["file_size"][0]), int(told["file_size"][1])),
        )
        size = size and (float(size[0]), float(size[1]))
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise BadInput(f"{directory / PAGE} is damaged: {error}") from None
    return Extras(size, optical, regions)
