"""AnnData of all places by annotations, for scanpy, squidpy and METASPACE's tools."""

import logging
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpc_connector.learner.annotation.normalisation import NORMS
from hpc_connector.publish import get_readers, publish, publish_by_name
from metabolite_annotation import schema
from metabolite_annotation.export.found import Found, read_first_images

if TYPE_CHECKING:
    from anndata import AnnData


def make_anndata(found: Found) -> "AnnData":
    """Return an AnnData object of places by annotations, as METASPACE's tools take it.

    Its rows are all places of the box of pixels, row by row: scanpy and squidpy take
    them as they are, and metaspace-converter by their names, "0" to the last.

    Returns
    -------
    ``X`` is float32 (places, annotations), dense, 0 where there is no spectrum; ``obs``
    has the columns of ``schema.OBS``, ``var`` those of ``schema.VAR``;
    ``obsm["spatial"]`` is x and y, and ``uns`` has the attributes of the search, the
    norm and the size of the box.
    """
    import anndata
    import pandas as pd

    columns, pixels, place = found.columns, found.pixels, found.place
    width, height = found.attributes["width"], found.attributes["height"]
    y, x = np.divmod(np.arange(width * height, dtype=np.int32), np.int32(width))
    matrix = np.zeros((width * height, len(columns["mz"])), np.float32)
    for k, image in enumerate(read_first_images(found)):
        matrix[place[image.pixel], k] = image.intensity
    obs = {"ion_image_pixel_x": x, "ion_image_pixel_y": y}
    for name in NORMS:
        obs[name] = np.zeros(width * height)
        obs[name][place] = pixels[name]
    var = {name: columns[name] for name in schema.VAR.names}
    box = {"image_size": {"x": width, "y": height}}
    data = anndata.AnnData(
        matrix,
        obs=pd.DataFrame(obs, index=[str(k) for k in range(width * height)]),
        var=pd.DataFrame(var, index=name_annotations(columns)),
        obsm={"spatial": np.stack([x, y], axis=1).astype(np.float64)},
        uns={**found.attributes, "normalise": found.norm, "metaspace": box},
    )
    logging.getLogger("anndata").setLevel(logging.WARNING)  # it tells of each column
    data.strings_to_categoricals()
    return data


def save_anndata(path: Path, found: Found) -> None:
    """Write an AnnData object, published by rename; zeros take no room."""
    data = make_anndata(found)
    if get_readers():
        with publish(path) as stream:
            stream.write(pack_anndata(data))
        return
    with publish_by_name([path]) as (own,):
        data.write_h5ad(own, compression="gzip")


def pack_anndata(data: "AnnData") -> bytes:
    """Return the file that anndata writes, which takes no stream, made in memory."""
    import h5py
    from anndata.io import write_elem

    packed = {"compression": "gzip"}
    with h5py.File(uuid.uuid4().hex, "w", driver="core", backing_store=False) as file:
        file.attrs["encoding-type"], file.attrs["encoding-version"] = "anndata", "0.1.0"
        for name in ("X", "obs", "var"):
            write_elem(file["/"], name, getattr(data, name), dataset_kwargs=packed)
        for name in ("obsm", "varm", "obsp", "varp", "layers", "uns"):
            part = dict(getattr(data, name))
            write_elem(file["/"], name, part, dataset_kwargs=packed)
        file.flush()
        return bytes(file.id.get_file_image())


def name_annotations(columns: Mapping[str, Any]) -> list[str]:
    """Return a name of each annotation that no other has."""
    parts: tuple[str, ...] = ("formula", "adduct")
    names = ["".join(row) for row in zip(*(columns[p] for p in parts), strict=True)]
    if len(set(names)) < len(names):
        titles = columns["database"]
        names = [f"{name} {title}" for name, title in zip(names, titles, strict=True)]
    return names
