#!/bin/sh
# Installing pytest-mpi 0.6 ends all MPI tests of pytest-isolate-mpi 0.4.1, with success
#
# Both are plug-ins of pytest, and both call the marker `mpi`. pytest-isolate-mpi starts
# an mpirun for each test that has it; one would expect another plug-in, which nobody
# asked for anything, to leave that alone, or an error about the marker. But pytest-mpi
# skips every test marked `mpi` unless pytest has --with-mpi, in the ranks that were
# started too: a test that fails on both ranks is "skipped", and pytest exits 0. A
# plug-in is active as soon as it is installed, by a dependency, say.
#
# `-p no:pytest_mpi` (or no:pytest_isolate_mpi) in addopts keeps them apart.
#
# Sources: https://github.com/aragilar/pytest-mpi, pytest_collection_modifyitems;
# https://pypi.org/project/pytest-isolate-mpi/
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
PATH=$place/venv/bin:$PATH
cd "$place"
pip install --quiet pytest==9.2.0 pytest-isolate-mpi==0.4.1 mpi4py==4.1.2 mpich==5.0.2
cat >test_ranks.py <<'PYTHON'
import pytest


@pytest.mark.mpi(ranks=2)
def test_fails(mpi_ranks, comm):
    assert comm.size == 3
PYTHON

try() { # prints what pytest says at the end, and its exit code
    code=0
    python -m pytest "$@" test_ranks.py >said 2>&1 || code=$?
    echo "$(tail -n 1 said | tr -d = | sed 's/ in .*//; s/^ *//'), exit $code"
}
alone=$(try)
pip install --quiet pytest-mpi==0.6
both=$(try)
apart=$(try -p no:pytest_mpi)
pip list 2>/dev/null | grep -i '^pytest'
echo "pytest-isolate-mpi alone:       $alone"
echo "and pytest-mpi installed:       $both"
echo "with -p no:pytest_mpi:          $apart"
case "$alone/$both/$apart" in
    *failed*"exit 1/"*skipped*"exit 0/"*failed*"exit 1") ;;
    *) echo "this has changed" >&2 && exit 1 ;;
esac

# Output seen:
#   pytest-isolate-mpi alone:       2 failed, exit 1
#   and pytest-mpi installed:       2 skipped, exit 0
#   with -p no:pytest_mpi:          2 failed, exit 1
