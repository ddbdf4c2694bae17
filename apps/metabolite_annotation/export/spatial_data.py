"""SpatialData of a run: ion images, and points of pixels that a table annotates.

Elements are called as metaspace-converter calls them: "maldi_points" and "table", in
the coordinate system "global". That is micrometres where the dataset says how large its
pixels are, and else pixels; the first pixel is from 0 to 1 of its length.
"""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metabolite_annotation.export.ann_data import make_anndata
from metabolite_annotation.export.found import Found

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
    with (
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        warnings.simplefilter("ignore")  # of the library's own calls
        store = Path(folder) / path.name
        make_spatialdata(found).write(store)
        if path.exists():
            path.rename(Path(folder) / "before")
        store.rename(path)


def make_spatialdata(found: Found) -> "SpatialData":
    """Return a SpatialData object.

    Returns
    -------
    The image ``ion_images``, float32 (c, y, x), whose channels are the annotations, NaN
    where there is no spectrum; the points ``maldi_points`` in the middle of all places
    of the box; and ``table``, what ``--export anndata`` has, whose rows they are.
    """
    import pandas as pd
    from spatialdata import SpatialData
    from spatialdata.models import TableModel
    from spatialdata.transformations import Scale

    data = make_anndata(found)
    lengths = found.pixel_size or (1.0, 1.0)
    placed = {SYSTEM: Scale(list(lengths), axes=("x", "y"))}
    image = make_image(found, data, placed)
    points = make_points(data, placed)
    data.obs["region"] = pd.Categorical([POINTS] * data.n_obs)
    data.obs["instance_id"] = np.arange(data.n_obs)
    table = TableModel.parse(
        data, region=POINTS, region_key="region", instance_key="instance_id"
    )
    return SpatialData(
        images={IMAGES: image}, points={POINTS: points}, tables={TABLE: table}
    )


def make_image(found: Found, data: "AnnData", placed: Mapping[str, Any]) -> Any:
    """Return the ion images of a table as an element, which is made while written."""
    import dask.array
    from spatialdata.models import Image2DModel

    width, height = found.attributes["width"], found.attributes["height"]
    n_at_once = max(1, CHUNK_VALUES // (width * height))
    chunks = (n_at_once, height, width)
    stack = dask.array.from_array(data.X.T.reshape(-1, height, width), chunks=chunks)
    is_place = np.zeros(width * height, bool)
    is_place[found.place] = True
    image = dask.array.where(is_place.reshape(height, width), stack, np.float32("nan"))
    return Image2DModel.parse(
        image,
        dims=("c", "y", "x"),
        c_coords=data.var_names.tolist(),
        transformations=dict(placed),
    )


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
