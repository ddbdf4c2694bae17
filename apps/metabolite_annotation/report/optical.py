"""The optical image under the ion images: made small, and where it lies.

Coordinates begin at the upper left corner of the first pixel, x to the right and y
down, so that the centre of a pixel is at halves.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpc_connector.errors import BadInput

LONGEST = 2000  # pixels of an edge
MOST_BYTES = 1 << 20
MOST_PIXELS = 400_000_000  # to read: 1.2 GB
QUALITIES = (88, 80, 70, 55, 40)

Affine = tuple[float, float, float, float, float, float]


class OpticalImage(NamedTuple):
    """An optical image as a page has it.

    Parameters
    ----------
    jpeg
        The bytes of the picture.
    width, height
        Of the picture.
    transform
        (a, b, c, d, e, f) from its pixels to those of ion images: x' = a x + c y + e,
        y' = b x + d y + f; None where nobody has said.
    file_size
        Width and height of the file, upright.
    """

    jpeg: bytes
    width: int
    height: int
    transform: Affine | None
    file_size: tuple[int, int]

    def place(self, size: tuple[int, int], block: int) -> list[float]:
        """Return the transform to images reduced by a block, over all if none is known.

        Parameters
        ----------
        size
            Width and height of the ion images as they were measured.
        """
        width, height = size
        whole = (width / self.width, 0.0, 0.0, height / self.height, 0.0, 0.0)
        return [value / block for value in self.transform or whole]


def read_optical(path: Path, numbers: tuple[float, ...] | None) -> OpticalImage:
    """Return an image, made as small as a page needs it.

    Parameters
    ----------
    numbers
        Six or nine of ``--optical-transform``, of the pixels of the file.

    Raises
    ------
    BadInput
        No Pillow, a file that is no image or too large, or a matrix that is no affine.
    """
    affine = None if numbers is None else read_transform(numbers)
    with open_image(path) as image:
        file_size = get_upright_size(image)
        image.draft("RGB", (LONGEST, LONGEST))
        picture = to_rgb(image)
        picture.thumbnail((LONGEST, LONGEST))
    width, height = picture.size
    if affine is not None:
        across, along = file_size[0] / width, file_size[1] / height
        a, b, c, d, e, f = affine
        affine = (a * across, b * across, c * along, d * along, e, f)
    return OpticalImage(encode(picture), width, height, affine, file_size)


def read_transform(numbers: tuple[float, ...]) -> Affine:
    """Return the place of an optical image on ion images.

    Parameters
    ----------
    numbers
        (a, b, c, d, e, f), from optical to ion image; or the nine of METASPACE's
        matrix, row by row, which goes from ion image to optical image.

    Examples
    --------
    >>> read_transform((4, 0, 100, 0, 4, 200, 0, 0, 1))
    (0.25, 0.0, 0.0, 0.25, -25.0, -50.0)
    """
    if len(numbers) == 6:
        a, b, c, d, e, f = numbers
        matrix = np.array([[a, c, e], [b, d, f], [0, 0, 1.0]])
    else:
        matrix = np.array(numbers, np.float64).reshape(3, 3)
        is_affine = matrix[2, 2] and not matrix[2, :2].any()
        if not is_affine:
            raise BadInput(
                "--optical-transform: expected a matrix whose last row is 0, 0, 1"
            )
        matrix /= matrix[2, 2]
    size = abs(np.linalg.det(matrix))
    if not 1e-12 < size < 1e12:
        raise BadInput("--optical-transform: expected a matrix that can be inverted")
    if len(numbers) == 9:
        matrix = np.linalg.inv(matrix)
    a, c, e, b, d, f = (float(value) + 0.0 for value in matrix[:2].ravel())
    return a, b, c, d, e, f


@contextlib.contextmanager
def open_image(path: Path) -> Iterator[Any]:
    """Give an image of Pillow's; what goes wrong while it is read is one line.

    Raises
    ------
    BadInput
        No Pillow, or a file that is no image or too large.
    """
    try:
        from PIL import Image
    except ImportError:
        raise BadInput(
            "--optical needs Pillow: pip install 'hpc_connector[optical]'"
        ) from None
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # a slide is no bomb
    try:
        with Image.open(path, formats=("JPEG", "PNG", "TIFF")) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadInput(
                    f"{path} has {image.width:,} x {image.height:,} pixels: expected "
                    f"at most {MOST_PIXELS:,}; export it smaller"
                )
            yield image
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: expected an optical image") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(
            f"{path} cannot be read: expected JPEG, PNG or TIFF ({reason})"
        ) from None
    finally:
        Image.MAX_IMAGE_PIXELS = most


def get_upright_size(image: Any) -> tuple[int, int]:
    """Return the width and height of an image once it is turned as its EXIF says."""
    width, height = image.size
    is_turned = image.getexif().get(0x0112, 1) >= 5
    return (height, width) if is_turned else (width, height)


def to_rgb(image: Any) -> Any:
    """Return an image of 8 bits a colour, upright, on white where it is transparent."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode[0] in "IF":  # more than 8 bits: by the greatest value
        values = np.asarray(upright, np.float64)
        top = values.max(initial=0) or 1
        grey = (values.clip(0) * (255 / top)).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if "A" in upright.getbands() or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright)
    return upright.convert("RGB")


def encode(picture: Any) -> bytes:
    """Return a JPEG of at most :data:`MOST_BYTES`, if any quality makes it so small."""
    for quality in QUALITIES:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality, optimize=True)
        if stream.tell() <= MOST_BYTES:
            break
    return stream.getvalue()
