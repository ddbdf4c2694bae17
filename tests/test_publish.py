"""Files and folders that have their name once they are whole."""

import subprocess
import sys

import pytest

from hpc_connector.errors import BadInput
from hpc_connector.publish import publish
from programs import PATIENCE_S

KILLED = """
import os, pathlib, signal, sys
from hpc_connector import publish

path = pathlib.Path(sys.argv[1])
with publish.{} as found:
    folder = found if isinstance(found, pathlib.Path) else found[0].parent
    (folder / "half").write_text("what a library has written so far")
    if len(sys.argv) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / path.name).write_text("whole")
    if folder is found:
        (folder / path.name).rename(path)
"""


@pytest.mark.parametrize("call", ["make_partial(path)", "publish_by_name([path])"])
def test_publish__again_after_a_kill_leaves_the_file_alone(call, tmp_path):
    command = [sys.executable, "-c", KILLED.format(call), str(tmp_path / "out")]
    killed = subprocess.run(command, timeout=PATIENCE_S)
    assert killed.returncode < 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]
    subprocess.run([*command, "go on"], check=True, timeout=PATIENCE_S)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "whole"


def test_publish__into_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "none" / "page.html"
    with (
        pytest.raises(BadInput, match=r"page.html: expected a folder .*/none that is"),
        publish(path),
    ):
        pass
    assert not path.parent.exists()
