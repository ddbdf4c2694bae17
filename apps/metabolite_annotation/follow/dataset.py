"""A dataset that grows as its spectra are received.

Their peaks lie in a file, in the order in which they came, as they do in the .ibd file
of imzML; all else is in arrays. The stream is the truth: what is here is made of it
again after a crash.
"""

import hashlib
import uuid
from array import array
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.loader.spectra.acquired.head import (
    KEY,
    Ends,
    FileFacts,
    Head,
    read_file_facts,
    read_head,
)
from hpc_connector.loader.spectra.acquired.points import Point, unpack_point
from hpc_connector.loader.spectra.imzml import Imzml
from hpc_connector.loader.spectra.pixels import is_too_large
from hpc_connector.streams.records import START, Position, Record

UUID_BYTES = 16  # of zeros where there is none


class Growing:
    """What was received of a dataset so far.

    Parameters
    ----------
    url
        Of the stream, for messages.
    path
        The file of the peaks, which is written anew.
    """

    def __init__(self, url: str, path: Path) -> None:
        self.url, self.path = url, path
        self.position: Position = START
        self.has_signal = False
        self.first_ns = self.last_ns = 0
        self._head: tuple[bytes, Head, FileFacts] | None = None
        self._digest = hashlib.sha256()
        self._row_of: dict[int, int] = {}  # of the arrays below, by number of spectrum
        self._place = array("i"), array("i")
        self._tic = array("d")
        self._n_peaks = array("q")
        self._offset = array("q"), array("q")
        self._mz = b"", 0  # of the last spectrum, and where it is
        self._n_bytes = 0
        self.path.write_bytes(b"")

    def __len__(self) -> int:
        """Return how many spectra there are."""
        return len(self._tic)

    @property
    def head(self) -> Head | None:
        """What was said before the first spectrum; None before that."""
        return self._head and self._head[1]

    @property
    def name(self) -> str:
        """Name of the dataset, or else of the stream."""
        named = self.head.name if self.head else ""
        last = self.url.rstrip("/").rpartition("/")[2].removesuffix(".imzML")
        return named.replace("/", "_") or last

    def add(self, records: Iterable[Record]) -> None:
        """Take records; those that are there already change nothing.

        Raises
        ------
        BadInput
            One that cannot be, with its position.
        """
        with open(self.path, "r+b") as stream:
            stream.seek(self._n_bytes)
            for record in records:
                self._add(record, stream)
                self.position = record.position

    def _add(self, record: Record, stream: Any) -> None:
        where = f"{self.url}: record at {record.position}"
        if self._head is None or record.key == KEY:
            self._begin(record, where, stream)
            return
        point = unpack_point(self._head[1], record.key, record.value, where)
        if self._is_new(point, where, stream):
            self._digest.update(record.key + b"\0" + record.value)
            self._write(point, stream)
            self.first_ns = self.first_ns or record.time_ns
            self.last_ns = record.time_ns

    def _begin(self, record: Record, where: str, stream: Any) -> None:
        """Take the head, which is the first record."""
        if record.key != KEY:
            shown = record.key[:40].decode(errors="replace")
            raise BadInput(f"{where}: key {shown!r}: expected the head before it")
        if self._head:
            if self._head[0] != record.value:
                raise BadInput(f"{where}: another head: expected one acquisition")
            return
        head = read_head(record.value, where)
        self._head = record.value, head, read_file_facts(head, where)
        self._digest.update(record.key + b"\0" + record.value)
        digits = head.uuid.replace("-", "").strip("{}")
        try:
            own = uuid.UUID(digits).bytes if digits else bytes(UUID_BYTES)
        except ValueError:
            expected = "32 hexadecimal digits"
            raise BadInput(
                f"{where}: uuid {head.uuid!r}: expected {expected}"
            ) from None
        self._n_bytes += stream.write(own)

    def _is_new(self, point: Point, where: str, stream: Any) -> bool:
        """Return whether a spectrum is not there; raise where it is, but is another."""
        assert self.head is not None
        expected = self.head.n_spectra
        if expected is not None and point.number >= expected:
            raise BadInput(
                f"{where}: spectrum {point.number}: expected 0 to {expected - 1}, as "
                "the head says"
            )
        row = self._row_of.get(point.number)
        if row is None:
            return True
        if not self._is_same(row, point, stream):
            raise BadInput(
                f"{where}: spectrum {point.number} is there already, with another "
                "place or other peaks: expected each once"
            )
        return False

    def _is_same(self, row: int, point: Point, stream: Any) -> bool:
        """Return whether a spectrum is what is there, or in `stream` on its way."""
        there = (self._place[0][row], self._place[1][row], self._n_peaks[row])
        if there != (point.x, point.y, len(point.mz)):
            return False
        found = []
        for values, offset in zip(point[3:5], self._offset, strict=True):
            stream.seek(offset[row])
            found.append(stream.read(values.nbytes) == values.tobytes())
        stream.seek(self._n_bytes)
        if not all(found):
            return False
        return np.array_equal(self._tic[row], point.tic, equal_nan=True)

    def _write(self, point: Point, stream: Any) -> None:
        """Write the peaks of a spectrum; m/z that are those of the last, once."""
        mz, intensity = point.mz.tobytes(), point.intensity.tobytes()
        if mz != self._mz[0]:
            self._mz = mz, self._n_bytes
            self._n_bytes += stream.write(mz)
        self._row_of[point.number] = len(self)
        for values, value in zip(self._place, (point.x, point.y), strict=True):
            values.append(value)
        self._n_peaks.append(len(point.mz))
        self._tic.append(point.tic)
        self._offset[0].append(self._mz[1])
        self._offset[1].append(self._n_bytes)
        self._n_bytes += stream.write(intensity)
        self.has_signal = self.has_signal or bool((point.intensity > 0).any())

    def check_whole(self) -> None:
        """Make sure that no spectrum is missing, after the seal.

        Raises
        ------
        BadInput
            The first number that is.
        """
        if len(self):
            self.check_room()
        after = f"{self.url}: sealed after the record at {self.position}"
        if self.head is None:
            raise BadInput(f"{self.url}: sealed without a record: expected the head")
        n = self.head.n_spectra or max(self._row_of, default=0) + 1
        for number in range(n):
            if number not in self._row_of:
                raise BadInput(
                    f"{after}, with {len(self)} spectra: number {number} is missing: "
                    f"expected 0 to {n - 1}"
                )

    def check_room(self) -> None:
        """Refuse an image too large for its pixels, of which there are some.

        Raises
        ------
        BadInput
            What is there, or to come by the head, lies too far apart.
        """
        assert self.head is not None
        width, height = (last - first + 1 for first, last in self.find_box())
        n = max(len(self), self.head.n_spectra or 0)
        if is_too_large(width, height, n):
            raise BadInput(
                f"{self.url}: record at {self.position}: an image of {width} x "
                f"{height} for {n} spectra: expected positions of pixels, not of the "
                "stage"
            )

    def make_imzml(self) -> Imzml:
        """Return what is known of the spectra, in the order of their numbers."""
        assert self._head is not None
        _, head, facts = self._head
        number = np.fromiter(self._row_of, np.int64, len(self))  # in order of rows
        row = np.argsort(number)
        n_peaks = np.array(self._n_peaks, np.int64)[row]
        is_profile = np.zeros(int(number.max(initial=-1)) + 1, bool)
        for first, last in facts.profile:
            is_profile[first:last] = True
        mz_type, intensity_type = head.mz_dtype, head.intensity_dtype
        unknown = np.full(len(row), np.nan)
        return Imzml(
            path=f"{self.name}.imzML",
            ibd_path=str(self.path),
            uuid=head.uuid,
            checksum=None,
            mode=head.mode,
            acquisition=facts.acquisition,
            is_profile=is_profile[number[row]],
            mz_dtype=mz_type,
            intensity_dtype=intensity_type,
            mz_is_zlib=False,
            intensity_is_zlib=False,
            x=np.array(self._place[0], np.int32)[row],
            y=np.array(self._place[1], np.int32)[row],
            n_peaks=n_peaks,
            mz_offset=np.array(self._offset[0], np.int64)[row],
            mz_bytes=n_peaks * mz_type.itemsize,
            intensity_offset=np.array(self._offset[1], np.int64)[row],
            intensity_bytes=n_peaks * intensity_type.itemsize,
            tic=np.array(self._tic, np.float64)[row],
            lowest_mz=unknown,
            highest_mz=unknown,
            scan_order=facts.scan_order,
            assumed=facts.assumed,
            counted=facts.counted,
            pixel_size_um=facts.pixel_size_um,
        )

    def find_box(self) -> tuple[Ends, Ends]:
        """Return least and greatest x, and y, of what is there and is to come."""
        assert self.head is not None
        (left, right), (top, bottom) = (
            (min(values), max(values)) for values in self._place
        )
        x, y = self.head.x or (left, right), self.head.y or (top, bottom)
        return (min(x[0], left), max(x[1], right)), (min(y[0], top), max(y[1], bottom))

    def get_took_s(self) -> float:
        """Return the seconds from the first spectrum to the last."""
        return (self.last_ns - self.first_ns) / 1e9

    def describe(self, imzml: Imzml, *, is_final: bool) -> dict[str, Any]:
        """Return what a manifest keeps of an acquisition."""
        assert self.head is not None
        places = np.stack([imzml.x, imzml.y], axis=1)
        return {
            "stream": self.url,
            "uuid": self.head.uuid,
            "sha256": self._digest.hexdigest(),
            "spectra": len(self),
            "of_spectra": self.head.n_spectra,
            "pixels": len(np.unique(places, axis=0)),
            "of_pixels": self.head.n_pixels,
            "since": _format(self.first_ns),
            "until": _format(self.last_ns),
            "final": is_final,
        }


def _format(time_ns: int) -> str:
    """Return a time in UTC, ISO 8601, seconds."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="seconds")
