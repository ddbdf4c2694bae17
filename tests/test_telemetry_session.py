"""The agent that a run starts, and the signals that warn its ranks."""

import json
import os
import signal
import subprocess
import sys

import pytest

from hpc_connector.telemetry.columns import get_name
from hpc_connector.telemetry.watch.session import end_agent, start_agent
from programs import wait_for


@pytest.fixture
def rank():
    """Return a process that is watched."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("ended_by", ["its rank", "the run"])
def test_start_agent__that_outlives_the_warning(rank, tmp_path, ended_by):
    agent = start_agent(tmp_path, [(get_name(), rank.pid)], 0)
    assert agent is not None
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        agent.send_signal(number)  # before Python has started
    rows = tmp_path / "telemetry" / f"{get_name()}.csv"
    wait_for(lambda: rows.exists() and len(rows.read_text().splitlines()) > 2)
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR2):
        agent.send_signal(number)
    n_rows = len(rows.read_text().splitlines())
    wait_for(lambda: len(rows.read_text().splitlines()) > n_rows + 2)
    if ended_by == "its rank":
        rank.communicate(b"\n")
        assert agent.wait(60) == 0
    else:
        end_agent(agent)
    totals = json.loads(rows.with_suffix(".json").read_text())
    assert [one["pid"] for one in totals["ranks"]] == [rank.pid]
    assert totals["totals"]["max_rss_bytes"] > 1 << 20


def test_start_agent__leaves_the_signals_of_the_run_alone(rank, tmp_path):
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        agent = start_agent(tmp_path, [(get_name(), rank.pid)], 0)
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [1]
    rows = tmp_path / "telemetry" / f"{get_name()}.csv"
    wait_for(lambda: rows.exists() and len(rows.read_text().splitlines()) > 2)
    rank.communicate(b"\n")
    assert agent.wait(60) == 0
