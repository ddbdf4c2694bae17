"""Where a container is started, with a stand-in for its runtime."""

import os
import subprocess

import pytest

from hpc_connector.cluster.site import Site, get_container


@pytest.fixture
def apptainer(tmp_path, monkeypatch):
    """Put a runtime on PATH that shows its folder and its words."""
    path = tmp_path / "bin/apptainer"
    path.parent.mkdir()
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize("name", ["p", "a b", "p/q", "c,d", "e:f"])
@pytest.mark.parametrize("bind", ["", "/srv"])
def test_get_container__in_a_linked_folder(
    apptainer, tmp_path, monkeypatch, name, bind
):
    """It starts where the link leads, and sees that folder by both of its names."""
    (tmp_path / "real" / name).mkdir(parents=True)
    (tmp_path / "one").symlink_to(tmp_path / "real")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    monkeypatch.chdir(tmp_path / "two" / name)
    monkeypatch.setenv("PWD", f"{tmp_path}/two/{name}")  # as a shell does
    command = [*get_container(Site(image="x.sif", bind=bind)), "program"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    place, word, *options = said.splitlines()
    assert (place, word) == (f"{tmp_path}/real/{name}", "exec")
    assert options[-2:] == ["x.sif", "program"]
    seen = [bind] if bind else []
    if name not in ("c,d", "e:f"):  # which no --bind can name
        seen += [place, f"{tmp_path}/two/{name}"]
    assert options[:-2] == (["--bind", ",".join(seen)] if seen else [])


@pytest.mark.parametrize("pwd", [None, "", "/proc", "/nowhere"])
def test_get_container__where_the_shell_is_elsewhere(
    apptainer, tmp_path, monkeypatch, pwd
):
    monkeypatch.chdir(tmp_path)
    if pwd is None:
        monkeypatch.delenv("PWD")
    else:
        monkeypatch.setenv("PWD", pwd)
    found = get_container(Site(image="x.sif"))
    assert found[3:] == ["exec", "--bind", str(tmp_path), "x.sif"]


def test_get_container__without_an_image(apptainer):
    assert get_container(Site()) == []
