"""A signal that one rank gets, of Slurm's warning or of a user, stops all together."""

import os
import signal
import time

import pytest

from hpc_connector.pipeline.ranks import run_on_ranks

pytestmark = pytest.mark.mpi
N_TASKS = 3000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("who", ["the first", "the last", "all"])
def test_run_on_ranks__all_stop_after_a_signal(comm, number, who):
    hit = {"the first": [0], "the last": [comm.size - 1], "all": range(comm.size)}
    done, saved = [], []

    def run_task(task, thread):
        time.sleep(0.002)
        done.append(task)
        if comm.rank in hit[who] and len(done) == 5:
            os.kill(os.getpid(), number)

    def save(_, finished):
        saved[:] = finished

    outcome = run_on_ranks(comm, run_task, range(N_TASKS), save)
    everyone = [task for tasks in comm.allgather(done) for task in tasks]
    assert not outcome.is_done
    assert sorted(saved) == sorted(done)
    assert len(set(everyone)) == len(everyone) < N_TASKS


def test_run_on_ranks__does_each_task_once(comm):
    done = []

    def run_task(task, thread):
        done.append(task)

    assert run_on_ranks(comm, run_task, range(N_TASKS), lambda *_: None).is_done
    everyone = [task for tasks in comm.allgather(done) for task in tasks]
    assert sorted(everyone) == list(range(N_TASKS))
