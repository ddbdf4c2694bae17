"""What the tests of all formats of slices share."""

import pickle
import shutil
from pathlib import Path

from hpc_connector.slices import CloudObject, DataSlice
from hpc_connector.storage.traffic import traffic

DATA = Path(__file__).parent / "data"
COUNTS = [1, 2, 3, 7, 8, 64]


def open_copy(format, path, folder, beside=()):
    """Return the object of a copy of a file, preprocessed."""
    for name in (path, *beside):
        shutil.copy(name, folder)
    return CloudObject.from_path(format, folder / path.name).preprocess()


def travel(part):
    """Return a slice as it comes from another host, and make sure that it is small."""
    text, packed = part.to_json(), pickle.dumps(part)
    assert max(len(text), len(packed)) < 2048, (len(text), len(packed))
    there = DataSlice.from_json(text)
    assert there.to_json() == pickle.loads(packed).to_json() == text
    return there


def count_traffic(function, *arguments, **options):
    """Return what a call gives, and the requests and bytes that it took."""
    before = traffic.requests, traffic.n_bytes
    given = function(*arguments, **options)
    after = traffic
    return given, after.requests - before[0], after.n_bytes - before[1]
