#!/bin/sh
# pyimzML 1.5.5 gives numbers for zlib-compressed peaks, and they are those of nothing
#
# imzML 1.1 lets arrays be compressed with zlib (MS:1000574 in place of MS:1000576), and
# "external encoded length" says how many bytes an array takes. One would expect the
# values, or an error. pyimzML looks at neither: it takes as many bytes from the offset
# as the values would take uncompressed, which are those of the compressed array and of
# whatever follows it, and returns them as m/z and intensities without a warning.
#
# Its own ImzMLWriter writes such files, when asked for ZlibCompression.
#
# Sources: https://ms-imaging.org/wp-content/uploads/2009/08/specifications_imzML1.1.0_RC1.pdf
# (binary data); https://github.com/alexandrovteam/pyimzML, get_spectrum_as_string.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet pyimzml==1.5.5 numpy==2.2.6 2>/dev/null
cd "$place"
venv/bin/python - <<'PYTHON'
import sys
import uuid
import warnings
import zlib
from importlib.metadata import version

import numpy as np
from pyimzml.ImzMLParser import ImzMLParser
from pyimzml.ImzMLWriter import ImzMLWriter
from pyimzml.compression import ZlibCompression

print("pyimzML", version("pyimzml"))
mz, intensity = np.linspace(100, 200, 50), np.arange(1.0, 51.0)
zlib_codec = ZlibCompression()
with ImzMLWriter(
    "packed.imzML", mode="processed",
    mz_compression=zlib_codec, intensity_compression=zlib_codec,
) as writer:
    for x in (1, 2, 3):
        writer.addSpectrum(mz + x, intensity, (x, 1, 1))

text = open("packed.imzML").read()
print("the file names MS:1000574, zlib compression:", "MS:1000574" in text)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    with ImzMLParser("packed.imzML") as parser:
        got, _ = parser.getspectrum(0)
        at = parser.mzOffsets[0]
about = [str(one.message) for one in said if "ompress" in str(one.message)]
print("written m/z:", (mz + 1)[:3], "read m/z:", got[:3], "warnings of it:", about)
stored = open("packed.ibd", "rb").read()
whole = zlib.decompressobj().decompress(stored[at:])
print("unpacked by zlib itself:", np.frombuffer(whole, "<f8")[:3])
is_as_said = (
    "MS:1000574" in text
    and not about
    and len(got) == 50
    and not np.allclose(got, mz + 1, equal_nan=True)
    and np.allclose(np.frombuffer(whole, "<f8"), mz + 1)
)
sys.exit(0 if is_as_said else "pyimzML behaves otherwise now")
PYTHON
