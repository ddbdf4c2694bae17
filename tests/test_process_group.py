"""Programs that end with the block that started them, whatever ends it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from hpc_connector.pipeline.process_group import start_group
from hpc_connector.pipeline.signals import hold_signals, on_signals
from programs import wait_for

TWO = "sleep 3600 & echo $$ $! >begun.part; mv begun.part begun; "


def start(folder, script):
    """Return a group of a shell and what it starts, once the block is entered."""
    return start_group(["sh", "-c", TWO + script], cwd=folder)


def have_ended(folder):
    """Return whether the shell and what it started are gone, or wait to be reaped."""
    pids = (folder / "begun").read_text().split()
    stats = [Path(f"/proc/{pid}/stat") for pid in pids]
    return all(not s.exists() or " Z " in s.read_text() for s in stats)


def raise_error(process):
    raise ZeroDivisionError


def wait_briefly(process):
    process.wait(0.1)


@pytest.mark.parametrize("script", ["wait", "trap '' TERM; while :; do sleep 1; done"])
@pytest.mark.parametrize(
    ("act", "error"),
    [(raise_error, ZeroDivisionError), (wait_briefly, subprocess.TimeoutExpired)],
)
def test_start_group__ends_all_if_the_block_raises(tmp_path, script, act, error):
    with pytest.raises(error), start(tmp_path, script) as process:  # noqa: PT012
        wait_for((tmp_path / "begun").exists)
        act(process)
    assert process.returncode < 0
    wait_for(lambda: have_ended(tmp_path))


@pytest.mark.parametrize("attempt", range(20))
def test_start_group__ends_all_if_it_is_interrupted_at_once(tmp_path, attempt):
    """By the program itself, maybe before the starter has its number."""
    kill = f"kill -INT {os.getpid()}; wait"
    with pytest.raises(KeyboardInterrupt), start(tmp_path, kill) as process:
        process.wait()
    wait_for(lambda: have_ended(tmp_path))


def test_start_group__leaves_what_has_ended(tmp_path):
    with start_group(["sh", "-c", "exit 3"]) as process:
        assert process.wait() == 3
    with pytest.raises(ZeroDivisionError), start_group(["true"]) as process:  # noqa: PT012
        process.wait()
        raise ZeroDivisionError
    assert process.returncode == 0


def test_hold_signals__acts_on_them_at_the_end():
    seen = []
    with on_signals(lambda: seen.append("acted")):
        with hold_signals():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            assert not seen
        assert seen == ["acted", "acted"]
    with pytest.raises(KeyboardInterrupt), hold_signals():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError
