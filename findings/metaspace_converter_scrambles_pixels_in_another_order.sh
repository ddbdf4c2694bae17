#!/bin/sh
# metaspace-converter 1.1.2 scrambles ion images of an AnnData whose rows were reordered
#
# anndata_to_image_array turns the rows of an AnnData, one a pixel, into ion images. Its
# comment says that it sorts them, "in case of modified order of pixels (obs)", and
# AnnData keeps rows, obs and names together however they are reordered: one would expect
# the same images, for obs still says where each pixel is. It sorts obs by place and takes
# the NAMES of the sorted rows as positions in X. Those are right for the first order
# alone: after any other (sorted by a cluster or by TIC, or concatenated) every image has
# its pixels in wrong places, of the right size and the right values, with no warning;
# and coloc_ml_preprocessing, which filters these images in space, goes wrong with it.
#
# Rows in the order of pixels, named "0" to the last, are what it needs; to restore them:
# data[np.argsort(data.obs_names.astype(int))].
#
# Source: https://github.com/metaspace2020/metaspace-converter, anndata_to_array.py.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet metaspace-converter==1.1.2 anndata==0.12.19 2>/dev/null
cd "$place"
venv/bin/python -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

import anndata
import numpy as np
import pandas as pd
from metaspace_converter import anndata_to_image_array

print("metaspace-converter", version("metaspace-converter"))
height, width = 3, 4
image = np.arange(1.0, 13.0).reshape(height, width)
y, x = np.divmod(np.arange(height * width), width)
data = anndata.AnnData(
    image.reshape(-1, 1),
    obs=pd.DataFrame(
        {"ion_image_pixel_x": x, "ion_image_pixel_y": y}, index=[str(k) for k in range(12)]
    ),
    uns={"metaspace": {"image_size": {"x": width, "y": height}}},
)
other = data[np.random.default_rng(0).permutation(12)].copy()
places = other.obs[["ion_image_pixel_y", "ion_image_pixel_x"]].to_numpy().T
by_obs = np.zeros((height, width))
by_obs[tuple(places)] = other.X[:, 0]
first, then = anndata_to_image_array(data)[0], anndata_to_image_array(other)[0]
restored = anndata_to_image_array(other[np.argsort(other.obs_names.astype(int))])[0]
print("rows in order:\n", first, "\nreordered, by their obs:\n", by_obs)
print("reordered, by the converter:\n", then)
is_as_said = (
    (first == image).all()
    and (by_obs == image).all()
    and (then != image).any()
    and (np.sort(then.ravel()) == np.sort(image.ravel())).all()
    and (restored == image).all()
)
sys.exit(0 if is_as_said else "metaspace-converter behaves otherwise now")
PYTHON
