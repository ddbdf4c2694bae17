"""colocalisation.tsv: the ions whose images are alike, as METASPACE lists them."""

from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.learner.annotation.dataset.colocalisation import get_nearest
from hpc_connector.storer.results import save_table
from metabolite_annotation import schema
from metabolite_annotation.annotations import Annotations
from metabolite_annotation.dataset.colocalisation import Colocalised

TABLE = "colocalisation.tsv"
MOST, LEAST = 100, 0.3  # of an ion, and cosine: METASPACE's


def save_colocalisation(
    folder: Path, annotations: Annotations, found: Colocalised
) -> None:
    """Write the pairs of ions, by the best annotation of each; a pair is there twice.

    Ions come in the order of annotations.tsv, and the nearest of each first.
    """
    nearest, cosine = get_nearest(found.products, MOST, least=LEAST)
    ions, row = np.unique(annotations.ion, return_index=True)  # its best annotation
    best = row[np.searchsorted(ions, found.ion)]
    order = np.argsort(best)
    first, place = np.nonzero(nearest[order] >= 0)
    pairs = {"a": best[order[first]], "b": best[nearest[order[first], place]]}
    columns: dict[str, Any] = {
        f"{name}_{side}": [annotations.columns[name][k] for k in rows.tolist()]
        for side, rows in pairs.items()
        for name in schema.NAMES_OF_PAIR
    }
    columns["cosine"] = cosine[order[first], place]
    save_table(folder / TABLE, {n: columns[n] for n in schema.COLOCALISATION.names})
