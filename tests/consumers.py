"""What programs of spatial omics make of an exported AnnData, as their pages show it.

A process of its own for the tests: ``python tests/consumers.py annotations.h5ad
found.json`` writes what they found.
"""

import json
import sys
import warnings
from pathlib import Path

import matplotlib
import numpy as np

warnings.simplefilter("ignore")  # of these libraries among themselves
matplotlib.use("Agg")

import anndata  # noqa: E402
import metaspace_converter  # noqa: E402
import scanpy as sc  # noqa: E402
import squidpy as sq  # noqa: E402


def convert(data):
    """Use METASPACE's converter."""
    images = metaspace_converter.anndata_to_image_array(data)
    metaspace_converter.colocalization.coloc_ml_preprocessing(data)
    metaspace_converter.colocalization.colocalization(data)
    return {
        "images": images.tolist(),
        "thresholded": data.layers["coloc_ml_preprocessing"].T.tolist(),
        "colocalization": data.varp["colocalization"].tolist(),
    }


def embed(data):
    """Use scanpy: normalise, embed, draw."""
    data = data[data.obs["tic"] > 0].copy()  # places with a spectrum
    sc.pp.normalize_total(data, target_sum=1e4)
    sums = data.X.sum(axis=1)
    sc.pp.log1p(data)
    sc.pp.pca(data, n_comps=5)
    sc.pp.neighbors(data, n_neighbors=10, method="gauss")  # umap takes long to compile
    axes = sc.pl.spatial(data, color=data.var_names[0], spot_size=1, show=False)
    return {
        "n": data.n_obs,
        "sums": sums.tolist(),
        "pca_is_finite": bool(np.isfinite(data.obsm["X_pca"]).all()),
        "edges": int(data.obsp["connectivities"].nnz),
        "drawn": len(axes),
    }


def correlate(data):
    """Use squidpy: neighbours on the grid, and Moran's I."""
    sq.gr.spatial_neighbors(data, coord_type="grid", n_neighs=4)
    sq.gr.spatial_autocorr(data, mode="moran", n_jobs=1, show_progress_bar=False)
    found = data.uns["moranI"].loc[data.var_names, "I"]
    return {
        "edges": int(data.obsp["spatial_connectivities"].nnz),
        "moran": found.to_numpy().tolist(),
    }


def main(path, out):
    """Write what all find."""
    whole = anndata.read_h5ad(path)
    found = {
        "converter": convert(whole.copy()),
        "scanpy": embed(whole.copy()),
        "squidpy": correlate(whole.copy()),
        "var": whole.var_names.tolist(),
    }
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
