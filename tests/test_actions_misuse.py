"""Actions that are wrong: each ends all ranks with one line, and nobody waits."""

import pickle
import subprocess
import sys

import pytest

from hpc_connector.actions import near_data
from hpc_connector.actions.lines import pack_error
from hpc_connector.commands.main import main
from hpc_connector.errors import BadInput
from hpc_connector.partitioner import get_mpicomm
from programs import PATIENCE_S

ALONE = """
import sys
from hpc_connector.actions import near_data
from hpc_connector.actions.reduced import count_words
from hpc_connector.partitioner import get_mpicomm
from hpc_connector.partitioner.ending import abort_on_error

comm = get_mpicomm()
with abort_on_error(comm, lambda error: print(error, file=sys.stderr) or 2):
    with near_data(comm) as area:
        if sys.argv[1] == "reduce":
            area.create("one", count_words)
        if comm.rank == int(sys.argv[2]):
            getattr(area, sys.argv[1])("one", count_words)
"""
SERIAL = get_mpicomm(serial=True)


class Wrong:
    """An action that raises in one of its methods."""

    def __init__(self, method, error):
        self.method, self.error = method, error

    def on_write(self, records):
        for _ in records:
            self.fail("on_write")

    def on_read(self):
        self.fail("on_read")
        yield b""

    def on_delete(self):
        self.fail("on_delete")

    def merge(self, results):
        self.fail("merge")

    def fail(self, method):
        if method == self.method:
            raise self.error


def use(make):
    """Write to an action, and have what it gives."""
    with near_data(SERIAL) as area:
        area.create("one", make).write([b"record"])
        area.reduce("one")


@pytest.mark.parametrize("method", ["on_write", "on_read", "on_delete", "merge"])
@pytest.mark.parametrize(
    "error", [EOFError("cut"), ZeroDivisionError("zero"), SystemExit(3)]
)
def test_near_data__says_what_an_action_raises(method, error):
    said = f"action one raised {type(error).__name__}: {error} "
    with pytest.raises(BadInput, match=said):
        use(lambda: Wrong(method, error))


class Picky(OSError):
    """An error that can be packed, and not unpacked."""

    def __init__(self, what, where):
        super().__init__(f"{what} of {where}")


def test_pack_error__is_of_one_that_can_be_unpacked():
    found = pickle.loads(pack_error(Picky("end", "file")))
    assert isinstance(found, BadInput)
    assert str(found) == "end of file"


@pytest.mark.parametrize("do", ['"filter"\nwhere="p < 1"', '"sum"\nby="p"'])
def test_run__refuses_a_table_without_a_header(do, tmp_path, capsys):
    (tmp_path / "empty.csv").touch()
    spec = tmp_path / "spec.toml"
    spec.write_text(
        f'inputs=["empty.csv"]\ntable=true\n[[action]]\nname="a"\ndo={do}\n'
    )
    out = tmp_path / "out"
    assert main(["actions", "run", str(spec), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "empty.csv: is empty: expected a table with a header" in said
    assert not out.exists()


def test_write__is_refused_behind_the_end():
    with near_data(SERIAL) as area:
        one = area.create("one", lambda: Wrong("", None))
    for call in (lambda: one.write([b"late"]), one.read):
        with pytest.raises(BadInput, match="the area has ended"):
            call()


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("call", ["create", "reduce"])
def test_near_data__is_not_waited_for_where_one_rank_calls(call, rank):
    words = ["mpirun", "-n", "2", sys.executable, "-c", ALONE, call, str(rank)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode
    assert "expected the same calls of all ranks" in done.stderr
