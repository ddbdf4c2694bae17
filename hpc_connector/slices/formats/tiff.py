"""The tags of TIFF and BigTIFF: where the blocks of images are, and in which form.

TIFF 6.0 (Adobe, 1992) and its supplements; BigTIFF as LibTIFF has it.
"""

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.storage import ranges as ranges_module
from hpc_connector.storage.address import Source
from hpc_connector.storage.store import Range, Version

HEAD_BYTES = 1 << 16  # of the first read: all tags, in a cloud-optimised file
MOST_IMAGES = 1024
CLASSIC, BIG = 42, 43
TYPES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4"}
TYPES |= {11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}

KIND, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
BANDS, PLANAR, PREDICTOR, EXTRA, SAMPLE_FORMAT = 277, 284, 317, 338, 339
STRIP_PLACES, STRIP_HEIGHT, STRIP_BYTES = 273, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE_PLACES, TILE_BYTES = 322, 323, 324, 325
FILL_ORDER, JPEG_TABLES, NO_DATA, LERC_PARAMETERS = 266, 347, 42113, 50674
GEO = {33550: "pixel_scale", 33922: "tiepoint", 34264: "transformation"}
GEO |= {34735: "geo_keys", 34736: "geo_doubles"}
USED = {KIND, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, BANDS, PLANAR, PREDICTOR}
USED |= {EXTRA, SAMPLE_FORMAT, STRIP_PLACES, STRIP_HEIGHT, STRIP_BYTES, TILE_WIDTH}
USED |= {TILE_HEIGHT, TILE_PLACES, TILE_BYTES, JPEG_TABLES, NO_DATA, *GEO}
USED |= {FILL_ORDER, LERC_PARAMETERS}

Image = dict[int, np.ndarray]  # the values of its tags; of JPEG_TABLES the place


class TiffReader:
    """The tags of a TIFF, by ranges: where they stand in front, in one request."""

    def __init__(self, source: Source, version: Version):
        self.source, self.version = source, version
        self.places: list[int] = []
        end = min(HEAD_BYTES, version.size)
        (self.head,) = ranges_module.fetch(source, version, [(0, end)])
        self.order = {b"II": "<", b"MM": ">"}.get(self.head[:2], "")
        kind = self.read_number(2, "u2") if self.order and end >= 16 else 0
        if kind not in (CLASSIC, BIG):
            raise BadInput(f"{source.uri}: expected TIFF")
        self.is_big = kind == BIG

    def fetch(self, ranges: list[Range]) -> list[bytes]:
        """Return ranges, from the first read if they are in it."""
        for first, last in ranges:
            if not 0 <= first <= last <= self.version.size:
                raise BadInput(f"{self.source.uri} is cut: no tags at byte {first}")
        if all(last <= len(self.head) for _, last in ranges):
            return [self.head[first:last] for first, last in ranges]
        return ranges_module.fetch(self.source, self.version, ranges)

    def read_number(self, at: int, dtype: str) -> int:
        """Return the number at a place."""
        (data,) = self.fetch([(at, at + np.dtype(dtype).itemsize)])
        return int(np.frombuffer(data, self.order + dtype)[0])

    def read_images(self) -> list[Image]:
        """Return the tags of all images, and note where they stand.

        Raises
        ------
        BadInput
            Tags outside the object, or a chain of images that goes round.
        """
        images: list[Image] = []
        at = self.read_number(8, "u8") if self.is_big else self.read_number(4, "u4")
        while at:
            if at in self.places or len(images) == MOST_IMAGES:
                raise BadInput(f"{self.source.uri}, byte {at}: the images go round")
            self.places.append(at)
            image, at = self.read_image(at)
            images.append(image)
        if not images:
            raise BadInput(f"{self.source.uri} has no image")
        return images

    def read_image(self, at: int) -> tuple[Image, int]:
        """Return the tags of an image, and the place of the next, 0 after the last."""
        number, wide = ("u8", "u8") if self.is_big else ("u2", "u4")
        fields = [("tag", "u2"), ("kind", "u2"), ("n", wide), ("value", wide)]
        entry = np.dtype([(name, self.order + dtype) for name, dtype in fields])
        start = at + np.dtype(number).itemsize
        end = start + self.read_number(at, number) * entry.itemsize
        (data,) = self.fetch([(start, end)])
        dtypes, ranges = {}, {}
        for k, (tag, kind, n, value) in enumerate(np.frombuffer(data, entry).tolist()):
            if tag in USED and kind in TYPES:
                dtypes[tag] = np.dtype(self.order + TYPES[kind])
                n_bytes, room = n * dtypes[tag].itemsize, np.dtype(wide).itemsize
                inside = start + (k + 1) * entry.itemsize - room
                first = value if n_bytes > room else inside
                ranges[tag] = first, first + n_bytes
        pieces = self.fetch(list(ranges.values()))
        image = {
            tag: np.frombuffer(piece, dtypes[tag])
            for tag, piece in zip(ranges, pieces, strict=True)
        }
        if JPEG_TABLES in image:
            image[JPEG_TABLES] = np.array(ranges[JPEG_TABLES])
        return image, self.read_number(end, wide)


def get_number(image: Image, tag: int, default: int | None = None) -> int:
    """Return the value of a tag, the first of several.

    Raises
    ------
    BadInput
        There is none, and no default.
    """
    values = image.get(tag)
    if values is not None and len(values):
        return int(values[0])
    if default is None:
        raise BadInput(f"TIFF: expected a value of tag {tag}")
    return default
