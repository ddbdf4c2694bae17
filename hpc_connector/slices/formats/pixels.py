"""The values of a block of an image, from its bytes, in any of the ways to pack it.

TIFF 6.0 and its supplements; LERC as LibTIFF has it; the others are of imagecodecs.
"""

import zlib
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput

NONE, JPEG, DEFLATE, LERC = 1, 7, (8, 32946), 34887
CODECS = {5: "lzw", 32773: "packbits", 34925: "lzma", 50000: "zstd", 50001: "webp"}
PICTURES = {34712: "jpeg2k", 50002: "jpegxl", 52546: "jpegxl"}
WITHIN_LERC = {0: NONE, 1: DEFLATE[0], 2: 50000}
NAMES = {  # of what is not read
    **{2: "CCITT RLE", 3: "CCITT fax 3", 4: "CCITT fax 4", 6: "JPEG of old"},
    **{32809: "ThunderScan", 32909: "Pixar", 34661: "JBIG", 34676: "SGI LogLuv"},
    **{
        34677: "SGI LogLuv of 24 bits",
        34892: "lossy JPEG of DNG",
        34926: "Zstd of old",
    },
    **{33003: "JPEG 2000 of Aperio", 33005: "JPEG 2000 of Aperio"},
    **{34933: "PNG", 34934: "JPEG XR", 22610: "JPEG XR of NDPI"},
}
DIFFERENCES, OF_FLOATS = 2, 3
GREY, RGB, YCBCR = 1, 2, 6
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

Form = dict[str, Any]  # of a level: see ``cog.read_level``


def is_read(compression: int) -> bool:
    """Return whether blocks that are packed so are read."""
    return compression in (NONE, JPEG, LERC, *DEFLATE, *CODECS, *PICTURES)


def decode_block(form: Form, data: bytes, tables: bytes | None) -> np.ndarray:
    """Return the values of a block, shape (rows, columns, bands).

    Raises
    ------
    ValueError, RuntimeError, zlib.error
        One of these, for a block that is cut or damaged.
    """
    shape = -1, form["block"][1], 1 if form["is_planar"] else form["shape"][0]
    compression, dtype = form["compression"], np.dtype(form["dtype"])
    if compression == JPEG:
        return decode_jpeg(form, data, tables).reshape(shape)
    if compression in PICTURES:
        return decode_picture(PICTURES[compression], data).reshape(shape)
    if compression == LERC:
        return decode_lerc(form["within_lerc"], data).reshape(shape)
    unpacked = unpack(
        compression, data.translate(REVERSED if form["is_reversed"] else None)
    )
    if form["bits"] != 8 * dtype.itemsize:
        return spread_bits(unpacked, form["bits"], shape).astype(dtype)
    if form["predictor"] == OF_FLOATS:
        return add_bytes(np.frombuffer(unpacked, np.uint8), shape, form["dtype"])
    values = np.frombuffer(unpacked, dtype).reshape(shape)
    return add_differences(values) if form["predictor"] == DIFFERENCES else values


def unpack(compression: int, data: bytes) -> bytes:
    """Return the bytes of a block."""
    if compression == NONE:
        return data
    if compression in DEFLATE:
        return zlib.decompress(data)
    imagecodecs = load_codecs()
    unpacked = getattr(imagecodecs, f"{CODECS[compression]}_decode")(data)
    return bytes(unpacked) if isinstance(unpacked, bytes) else unpacked.tobytes()


def load_codecs() -> Any:
    """Return imagecodecs.

    Raises
    ------
    BadInput
        It is not installed.
    """
    try:
        import imagecodecs
    except ImportError:
        raise BadInput(
            "expected imagecodecs: pip install 'hpc_connector[geotiff]'"
        ) from None
    return imagecodecs


def decode_lerc(within: int, data: bytes) -> np.ndarray:
    """Return the values of a block in LERC, which may be packed once more.

    Parameters
    ----------
    within
        How, the second of LercParameters.
    """
    imagecodecs = load_codecs()
    if within not in WITHIN_LERC:
        raise ValueError(f"LERC in compression {within}: expected 0, 1 or 2")
    values: np.ndarray = imagecodecs.lerc_decode(unpack(WITHIN_LERC[within], data))
    return values


def decode_picture(codec: str, data: bytes) -> np.ndarray:
    """Return the values of a block that is a picture of its own, such as JPEG XL."""
    imagecodecs = load_codecs()
    values: np.ndarray = getattr(imagecodecs, f"{codec}_decode")(data)
    return values


def decode_jpeg(form: Form, data: bytes, tables: bytes | None) -> np.ndarray:
    """Return the values of a block in JPEG; colours are RGB."""
    imagecodecs = load_codecs()
    colours, given = form["photometric"], None
    if colours == RGB and b"JFIF" not in data[:16]:
        given = RGB
    wanted = RGB if colours in (RGB, YCBCR) and not form["has_extra"] else None
    if form["is_planar"]:
        given, wanted = None, GREY
    values: np.ndarray = imagecodecs.jpeg_decode(
        data,
        bitspersample=form["bits"],
        tables=tables,
        colorspace=given,
        outcolorspace=wanted,
    )
    return values


def spread_bits(data: bytes, bits: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Return whole numbers of less than 16 bits; a row begins with a byte.

    Examples
    --------
    >>> spread_bits(bytes([0x12, 0x34, 0x56]), 12, (-1, 2, 1)).ravel().tolist()
    [291, 1110]
    """
    n = shape[1] * shape[2]
    rows = np.frombuffer(data, np.uint8).reshape(-1, -(-n * bits // 8))
    each = np.unpackbits(rows, axis=1)[:, : n * bits].reshape(-1, n, bits)
    weights = 1 << np.arange(bits, dtype=np.uint16)[::-1]
    return (each @ weights).reshape(shape)


def add_differences(values: np.ndarray) -> np.ndarray:
    """Return the values whose differences along rows are given (predictor 2)."""
    native = values.astype(values.dtype.newbyteorder("="))
    whole = native.view(f"u{native.itemsize}")
    return np.cumsum(whole, axis=1, dtype=whole.dtype).view(native.dtype)


def add_bytes(data: np.ndarray, shape: tuple[int, int, int], dtype: str) -> np.ndarray:
    """Return floats from differences of their bytes (predictor 3, TIFF note 3).

    A row has the first byte of each value, then the second; the highest comes first.
    """
    _, width, bands = shape
    size = np.dtype(dtype).itemsize
    added = np.cumsum(data.reshape(-1, width * size, bands), axis=1, dtype=np.uint8)
    planes = added.reshape(-1, size, width * bands)
    values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">f{size}")
    return values.reshape(shape)
