"""Regions of a dataset: polygons of GeoJSON, and the intensities in them.

Coordinates are pixels of the ion images as they were measured, from the upper left
corner of their box: x to the right, y down, and pixel p from p to p + 1. A pixel is in
a polygon if its centre is, by the even-odd rule, so that inner rings are holes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.confidential.published import read_published
from hpc_connector.errors import BadInput

MOST_REGIONS = 1000
SHAPES = ("Polygon", "MultiPolygon")

Polygon = list[list[list[float]]]  # rings of points x, y


class Region(NamedTuple):
    """An area of the images, which may have several parts."""

    name: str
    polygons: list[Polygon]


def read_regions(path: Path) -> list[Region]:
    """Return the regions of a GeoJSON file; those of one name are one.

    A name is ``properties.name``, or that of QuPath's ``properties.classification``.

    Raises
    ------
    BadInput
        No such file, no GeoJSON, no region, or one that is no polygon.
    """
    try:
        found = json.loads(read_published(path).decode("utf-8-sig"))
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: expected GeoJSON of regions") from None
    except BadInput:  # which is a ValueError
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is no GeoJSON: {error}") from None
    regions: dict[str, list[Polygon]] = {}
    for number, feature in enumerate(list_features(found), 1):
        where = f"{path}, region {number}"
        name = get_name(feature) or f"Region {number}"
        regions.setdefault(name, []).extend(read_polygons(feature, where))
    if not 0 < len(regions) <= MOST_REGIONS:
        raise BadInput(
            f"{path} has {len(regions):,} regions: expected a FeatureCollection of 1 "
            f"to {MOST_REGIONS:,} polygons"
        )
    return [Region(*region) for region in regions.items()]


def list_features(found: Any) -> list[Any]:
    """Return the features of a collection, of a list, or one that is alone."""
    if isinstance(found, list):
        return found
    features = found.get("features") if isinstance(found, dict) else None
    if isinstance(features, list):
        return features
    return [found] if isinstance(found, dict) and "type" in found else []


def get_name(feature: Any) -> str:
    """Return the name of a feature, empty if it has none."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        return ""
    kind = properties.get("classification")
    named = (properties.get("name"), kind.get("name") if isinstance(kind, dict) else "")
    return next((str(name).strip() for name in named if name), "")


def read_polygons(feature: Any, where: str) -> list[Polygon]:
    """Return the polygons of a feature or geometry, checked.

    Raises
    ------
    BadInput
        It is none, or a point is none.
    """
    geometry = feature.get("geometry", feature) if isinstance(feature, dict) else None
    told: dict[str, Any] = geometry if isinstance(geometry, dict) else {}
    shape, parts = told.get("type"), told.get("coordinates", ())
    if shape not in SHAPES:
        raise BadInput(f"{where} is {shape}: expected Polygon or MultiPolygon")
    try:
        polygons = parts if shape == "MultiPolygon" else [parts]
        return [[_read_ring(ring) for ring in polygon] for polygon in polygons]
    except (TypeError, ValueError, IndexError):
        raise BadInput(
            f"{where} has other coordinates than a {shape}: expected rings of three or "
            "more points [x, y]"
        ) from None


def _read_ring(ring: Any) -> list[list[float]]:
    """Return the points of a ring; a third coordinate is left out."""
    points = [[float(point[0]), float(point[1])] for point in ring]
    if len(points) < 3 or not np.isfinite(points).all():
        raise ValueError(ring)
    return points


def make_geojson(regions: list[Region]) -> dict[str, Any]:
    """Return regions as GeoJSON."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"name": region.name},
                "geometry": {"type": "MultiPolygon", "coordinates": region.polygons},
            }
            for region in regions
        ],
    }


def find_pixels(region: Region, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which pixels are in a region, bool (pixels,).

    Parameters
    ----------
    x, y
        Column and row of each pixel.
    """
    is_in = np.zeros(len(x), bool)
    for polygon in region.polygons:
        is_in |= find_inside(polygon, x + 0.5, y + 0.5)
    return is_in


def find_inside(polygon: Polygon, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which points are in a polygon by the even-odd rule, bool (points,).

    A ray from the point to the right crosses an odd number of edges; an edge has its
    upper end, and not its lower. Edges are taken downwards, whichever way they run, so
    that areas side by side share no point, and none is in neither.
    """
    is_in = np.zeros(len(x), bool)
    for ring in polygon:
        for ends in zip(ring, [*ring[1:], ring[0]], strict=True):
            (x0, y0), (x1, y1) = sorted(ends, key=lambda end: (end[1], end[0]))
            near = np.flatnonzero((y0 <= y) & (y < y1))
            is_in[near] ^= (x[near] - x0) * (y1 - y0) < (y[near] - y0) * (x1 - x0)
    return is_in


def measure(
    is_in: np.ndarray, pixel: np.ndarray, intensity: np.ndarray
) -> tuple[float, float, int]:
    """Return mean and median of an image over the pixels of a region, and signals.

    Parameters
    ----------
    is_in
        Which pixels are in the region, bool (pixels,).
    pixel, intensity
        Where the image has a signal, and how much; elsewhere it is 0.
    """
    values = intensity[is_in[pixel]].astype(np.float64)
    n = int(is_in.sum())
    if not n:
        return float("nan"), float("nan"), 0
    whole = np.zeros(n)
    whole[: len(values)] = values
    return float(values.sum() / n), float(np.median(whole)), len(values)


def list_rows(
    regions: list[Region], masks: list[np.ndarray], image: tuple[np.ndarray, np.ndarray]
) -> Iterator[tuple[str, int, int, float, float]]:
    """Yield name, pixels, those with signal, mean and median of each region."""
    for region, is_in in zip(regions, masks, strict=True):
        mean, median, n_signal = measure(is_in, *image)
        yield region.name, int(is_in.sum()), n_signal, mean, median
