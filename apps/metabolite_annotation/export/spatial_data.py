"""SpatialData of a run: ion images, and points of pixels that a table annotates.

Elements are called as metaspace-converter calls them: "maldi_points" and "table", in
the coordinate system "global". That is micrometres where the dataset says how large its
pixels are, and else pixels; the first pixel is from 0 to 1 of its length.
"""

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpc_connector.publish import make_partial
from metabolite_annotation.export.ann_data import make_anndata
from metabolite_annotation.export.found import Found, read_first_images

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

IMAGES, POINTS, TABLE, SYSTEM = "ion_images", "maldi_points", "table", "global"
CHUNK_VALUES = 1 << 20  # of the ion images, in a file of the store


def save_spatialdata(path: Path, found: Found) -> None:
    """Write a Zarr store, which has its name once it is whole.

    Raises
    ------
    BadInput
        results.h5 cannot be read.
    """
    with warnings.catch_warnings(), make_partial(path) as folder:
        warnings.simplefilter("ignore")  # of the library's own calls
        store = folder / path.name
        make_spatialdata(found).write(store)
        if path.exists():
            path.rename(folder / "before")
        store.rename(path)


def make_spatialdata(found: Found) -> "SpatialData":
    """Return a SpatialData object.

    Returns
    -------
    The image ``ion_images``, float32 (c, y, x), whose channels are the annotations, NaN
    where there is no spectrum; without an annotation there is no image. The points
    ``maldi_points`` in the middle of all places of the box; and ``table``, what
    ``--export anndata`` has, whose rows they are.
    """
    import pandas as pd
    from spatialdata import SpatialData
    from spatialdata.models import TableModel
    from spatialdata.transformations import Scale

    data = make_anndata(found)
    lengths = found.pixel_size or (1.0, 1.0)
    placed = {SYSTEM: Scale(list(lengths), axes=("x", "y"))}
    names = data.var_names.tolist()
    images = {IMAGES: make_image(found, names, placed)} if names else {}
    points = make_points(data, placed)
    data.obs["region"] = pd.Categorical([POINTS] * data.n_obs)
    data.obs["instance_id"] = np.arange(data.n_obs)
    table = TableModel.parse(
        data, region=POINTS, region_key="region", instance_key="instance_id"
    )
    unit = {"unit": "micrometer" if found.pixel_size else "pixel"}  # of the system
    return SpatialData(
        images=images, points={POINTS: points}, tables={TABLE: table}, attrs=unit
    )


def make_image(found: Found, names: list[str], placed: Mapping[str, Any]) -> Any:
    """Return the ion images as an element: they are drawn while it is written."""
    from dask.array import concatenate, from_delayed
    from dask.delayed import delayed
    from spatialdata.models import Image2DModel

    width, height = found.attributes["width"], found.attributes["height"]
    n_at_once = max(1, CHUNK_VALUES // (width * height))
    blocks = []
    for first in range(0, len(names), n_at_once):
        n = min(n_at_once, len(names) - first)
        stack = delayed(partial(draw_images, found))(first, first + n)
        shape = n, height, width
        blocks.append(from_delayed(stack, shape, np.float32))
    return Image2DModel.parse(
        concatenate(blocks),
        dims=("c", "y", "x"),
        c_coords=names,
        transformations=dict(placed),
    )


def draw_images(found: Found, first: int, last: int) -> np.ndarray:
    """Return the first images of some annotations, float32 (annotations, y, x).

    NaN where there is no spectrum.
    """
    width, height = found.attributes["width"], found.attributes["height"]
    stack, place = np.full((last - first, height * width), np.nan, "f4"), found.place
    stack[:, place] = 0
    for row, image in zip(stack, read_first_images(found, first, last), strict=True):
        row[place[image.pixel]] = image.intensity
    return stack.reshape(-1, height, width)


def make_points(data: "AnnData", placed: Mapping[str, Any]) -> Any:
    """Return the middle of each place of the box as an element."""
    import pandas as pd
    from spatialdata.models import PointsModel

    x, y = data.obsm["spatial"].T + 0.5
    return PointsModel.parse(
        pd.DataFrame({"x": x, "y": y}),
        coordinates={"x": "x", "y": "y"},
        transformations=dict(placed),
    )
