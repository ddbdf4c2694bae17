#!/bin/sh
# numba 0.68.1 may load code compiled for other types from its cache, and return numbers
#
# Ranks of an MPI run share the folder of @njit(cache=True), and compile a function at
# the same time. One would expect that to be safe: numba writes each file under another
# name and renames it. But the file of a signature has a number, which is taken from an
# index that is read, changed and written without a lock. Two processes that compile for
# different types may both take number 1; the index that is written last then names a
# file that the other has written. Nothing looks at what was loaded: code for contiguous
# values runs on strided ones, code for integers on floats, without a warning, in every
# process that uses the cache from then on.
#
# Here each of two processes waits at a rename, as on a slow parallel file system. With
# no such delay it was seen for 1 of 100 functions, six processes on two cores.
#
# Sources: numba/core/caching.py, IndexDataCacheFile.save;
# https://github.com/numba/numba/issues/10128 (the same of gufuncs, where it crashes)
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet numba==0.68.1 numpy==2.2.6 2>/dev/null
cd "$place"
cat >summed.py <<'PYTHON'
import numba


@numba.njit(cache=True)
def add(values):
    total = values[0] - values[0]
    for value in values:
        total += value
    return total
PYTHON
cat >rank.py <<'PYTHON'
import sys
import time
from pathlib import Path

import numpy as np

from summed import add

rank = int(sys.argv[1])
renames = iter(range(9))


def wait(name):
    while not Path(name).exists():
        time.sleep(0.01)


def be_slow(event, _):
    """Let both read the index, then rank 0 write it, then rank 1 write both files."""
    if event == "os.rename":
        number = next(renames)
        Path(f"rank{rank}.rename{number}").touch()
        if rank == 0:
            wait("rank1.rename0" if number == 0 else "rank1.end")
        elif number == 0:
            wait("rank0.rename1")


sys.addaudithook(be_slow)
values = np.arange(3) if rank == 0 else np.arange(6.0)[::2]
print(f"rank {rank}: sum of {values} is", add(values))
Path(f"rank{rank}.end").touch()
PYTHON
export NUMBA_CACHE_DIR="$place/cache"
venv/bin/python rank.py 0 &
venv/bin/python rank.py 1
wait
venv/bin/python - <<'PYTHON'
import sys

import numba
import numpy as np

from summed import add

values = np.arange(6.0)[::2]
got = add(values)
print("numba", numba.__version__)
print(f"another process: sum of {values} is {got}, expected {values.sum()}")
sys.exit(0 if got != values.sum() else "numba behaves otherwise now")
PYTHON
