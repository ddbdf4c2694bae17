"""PNG files, as another reader decodes them."""

import imagecodecs
import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hpc_connector.storer.png import encode_blocks, encode_png

TYPES = st.sampled_from([np.uint8, np.uint16])
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))


@given(TYPES.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)))
def test_encode_png__gives_back_any_image(image):
    found = imagecodecs.png_decode(encode_png(image))
    npt.assert_array_equal(found.reshape(image.shape), image)


@pytest.mark.parametrize("n_rows", [1, 3, 100])
def test_encode_blocks__gives_the_same_image_by_any_blocks(n_rows):
    image = np.random.default_rng(1).integers(0, 1 << 16, (17, 9, 2)).astype(np.uint16)
    blocks = [image[top : top + n_rows] for top in range(0, len(image), n_rows)]
    data = b"".join(encode_blocks(blocks, 17, 9, 2, 16))
    npt.assert_array_equal(imagecodecs.png_decode(data), image)
