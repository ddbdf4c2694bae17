"""Slurm as a backend of Lithops: functions run in the elements of job arrays.

Lithops finds a backend by name among its own modules; ``register`` puts this one there,
and a storage in the folder that all nodes share. A job that ends before its functions
have answered (killed, over its time, its node lost) is found by squeue, and each of
those calls ends with an error.

    lithops: {backend: slurm, storage: slurm}     # or an S3 that nodes reach
    slurm: {folder: /shared/lithops, account: bsc00, worker_processes: 4}
"""

import atexit
import dataclasses
import hashlib
import json
import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hpc_connector.burst.lithops.folder import BUCKET, make_modules
from hpc_connector.cluster.batch import submit
from hpc_connector.errors import BadInput
from hpc_connector.fields import YAML, Reader, read_fields
from hpc_connector.partitioner.launch import LAUNCHED_BY_MPI
from hpc_connector.slurm import ask_slurm
from hpc_connector.units import format_time, parse_bytes, parse_time

logger = logging.getLogger(__name__)

NAME = "slurm"
BACKENDS, STORAGES = "lithops.serverless.backends", "lithops.storage.backends"
POLL_S = 5.0
MOST_ELEMENTS = 1000  # of an array: where the site says nothing, Slurm takes 1,001
GONE = "FORGOTTEN"
ENDED = {GONE, "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"}
ENDED |= {"LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED"}
ENDED |= {"TIMEOUT"}
LITHOPS_KEYS = {"runtime", "runtime_memory", "runtime_timeout", "invoke_pool_threads"}
LITHOPS_KEYS |= {"storage_bucket", "user_agent"}


@dataclass(frozen=True)
class SlurmSettings:
    """The section ``slurm`` of a configuration.

    Parameters
    ----------
    folder
        That this host and all nodes share.
    account, qos, partition, time, mem
        Of each element of an array, as sbatch takes them; where empty, Slurm's own.
    cpus
        Of an element; 0 for one a function.
    worker_processes
        Functions at a time in an element, and functions of each.
    max_workers
        Elements of an array at a time.
    python
        That runs functions: the same version as here, with Lithops.
    """

    folder: str
    account: str = ""
    qos: str = ""
    partition: str = ""
    time: str = "00:30:00"
    cpus: int = 0
    mem: str = ""
    worker_processes: int = 1
    max_workers: int = 100
    python: str = sys.executable


def register() -> None:
    """Make Slurm known to Lithops in this process; again, it changes nothing."""
    from lithops import constants

    known = constants.SERVERLESS_BACKENDS
    if NAME not in known:  # a list in Lithops 3.7, a tuple in 3.8
        constants.SERVERLESS_BACKENDS = type(known)([*known, NAME])
    backend = types.ModuleType(f"{BACKENDS}.{NAME}")
    backend.ServerlessBackend = ServerlessBackend  # type: ignore[attr-defined]
    config = types.ModuleType(f"{BACKENDS}.{NAME}.config")
    config.load_config = load_config  # type: ignore[attr-defined]
    sys.modules |= {backend.__name__: backend, config.__name__: config}
    sys.modules |= make_modules(f"{STORAGES}.{NAME}")


def load_config(config: dict[str, Any]) -> None:
    """Complete the configuration of Lithops, as it asks each backend to.

    Raises
    ------
    BadInput
        What ``read_settings`` refuses.
    """
    section = config.get(NAME) or {}
    settings = read_settings({k: section[k] for k in section if k not in LITHOPS_KEYS})
    mem_mb = (parse_bytes(settings.mem) >> 20) // settings.worker_processes
    config[NAME] = section | dataclasses.asdict(settings)
    config[NAME]["runtime"] = settings.python
    config[NAME]["runtime_memory"] = mem_mb or section.get("runtime_memory")
    config[NAME]["runtime_timeout"] = int(parse_time(settings.time))
    config["lithops"].setdefault("storage", NAME)


def read_settings(section: dict[str, Any]) -> SlurmSettings:
    """Return the settings of a section.

    Raises
    ------
    BadInput
        An unknown key, or a value that is none.
    """
    found = read_fields(SlurmSettings, section, NAME, READERS, YAML)
    if not Path(found.get("folder", "")).is_absolute():
        raise BadInput("slurm: folder: expected the path of a folder that nodes share")
    settings = SlurmSettings(**found)
    if not re.fullmatch(r"(\d+-)?\d+(:\d+){1,2}", settings.time):
        raise BadInput(f"slurm: time: {settings.time!r}: expected such as '01:30:00'")
    if settings.mem and not re.fullmatch(r"\d+[KMGT]", settings.mem):
        raise BadInput(f"slurm: mem: {settings.mem!r}: expected such as 4G")
    least = min(settings.worker_processes, settings.max_workers, settings.cpus + 1)
    if least < 1:
        raise BadInput(
            "slurm: expected worker_processes and max_workers of 1 or more, and cpus "
            "of 0 or more"
        )
    return settings


def _word(value: Any) -> str:
    """Return text without spaces."""
    if not isinstance(value, str) or not re.fullmatch(r"\S*", value):
        raise ValueError("text without spaces, in quotes where it looks like a number")
    return value


def _whole(value: Any) -> int:
    """Return a whole number."""
    if type(value) is not int:
        raise ValueError("a whole number")
    return value


READERS: dict[Any, Reader] = {str: _word, int: _whole}


def render_array(settings: SlurmSettings, folder: Path, n: int, first: int) -> str:
    """Return the batch script of n elements, whose numbers begin with `first`.

    Parameters
    ----------
    folder
        Of the payload, and of what the elements print.
    """
    ask = {
        "job-name": "lithops",
        "account": settings.account,
        "qos": settings.qos,
        "partition": settings.partition,
        "array": f"0-{n - 1}%{settings.max_workers}",
        "ntasks": 1,
        "cpus-per-task": settings.cpus or settings.worker_processes,
        "mem": settings.mem,
        "time": format_time(parse_time(settings.time)),
        "output": f"{folder}/%A_%a.out",
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in ask.items() if value]
    module = "hpc_connector.burst.lithops.slurm"
    run = f"exec {settings.python} -m {module} {folder}/payload.json"
    last = f"{run} $(({first} + SLURM_ARRAY_TASK_ID))"
    return "\n".join(["#!/bin/bash", *lines, "#SBATCH --no-requeue", "", last, ""])


def cut_payload(payload: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the part of a payload that an element of a job array runs."""
    size = get_chunk_size(payload)
    calls = slice(number * size, (number + 1) * size)
    part = payload | {"call_ids": payload["call_ids"][calls]}
    if payload.get("data_byte_ranges"):
        part["data_byte_ranges"] = payload["data_byte_ranges"][calls]
    return part


def choose_memory(settings: SlurmSettings, memory: int | None) -> SlurmSettings:
    """Return settings with the memory that a call asks for, in MB of each function."""
    n_at_once = settings.worker_processes
    if not memory or memory == (parse_bytes(settings.mem) >> 20) // n_at_once:
        return settings
    return dataclasses.replace(settings, mem=f"{memory * n_at_once}M")


def get_chunk_size(payload: dict[str, Any]) -> int:
    """Return how many calls an element runs."""
    return max(1, int(payload.get("chunksize") or payload["worker_processes"]))


class ServerlessBackend:
    """What Lithops asks of a backend; the names are Lithops'."""

    def __init__(self, config: dict[str, Any], internal_storage: Any):
        names = {field.name for field in fields(SlurmSettings)}
        self.settings = read_settings({k: v for k, v in config.items() if k in names})
        self.config, self.storage = config, internal_storage
        self.name, self.type = NAME, "batch"
        self.folder = Path(self.settings.folder) / "jobs"
        self.payloads: dict[str, dict[str, Any]] = {}  # by the key of a job of Lithops
        self.elements: dict[str, tuple[str, list[str]]] = {}  # its key, its calls
        self.lock = threading.Lock()
        self.is_over: threading.Event | None = None  # of the thread that watches
        atexit.register(self.clear)

    def get_runtime_info(self) -> dict[str, Any]:
        """Return the facts of where functions run, for the executor."""
        return {
            "runtime_name": self.settings.python,
            "runtime_memory": self.config["runtime_memory"],
            "runtime_timeout": self.config["runtime_timeout"],
            "max_workers": self.settings.max_workers,
        }

    def get_runtime_key(self, name: str, memory: int, version: str) -> str:
        """Return the name of what is known of a Python."""
        return f"{NAME}/{version}/{hashlib.sha256(name.encode()).hexdigest()[:12]}"

    def deploy_runtime(self, name: str, memory: int, timeout: int) -> dict[str, Any]:
        """Return versions and modules of the Python that runs functions.

        It is asked here: its folder is shared.
        """
        code = "import json; from lithops.worker.utils import get_runtime_metadata; "
        code += "print(json.dumps(get_runtime_metadata()))"
        try:
            done = subprocess.run([name, "-c", code], capture_output=True, text=True)
            found: dict[str, Any] = json.loads(done.stdout)
            return found
        except (OSError, ValueError):
            raise BadInput(
                f"slurm: python: {name}: expected one with Lithops"
            ) from None

    def build_runtime(self, *_: Any) -> None:
        """Do nothing: a Python that is there is used."""

    delete_runtime = build_runtime

    def list_runtimes(self, *_: Any) -> list[Any]:
        """Return nothing, for nothing is deployed."""
        return []

    def clean(self, **_: Any) -> None:
        """Leave no job behind."""
        self.clear()

    def invoke(self, name: str, memory: int | None, payload: dict[str, Any]) -> str:
        """Submit the calls of a job of Lithops as arrays; return the first's number."""
        folder = self.folder / payload["job_key"]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # it may hold secrets
        (folder / "payload.json").write_text(json.dumps(payload))
        self.payloads[payload["job_key"]] = payload
        settings = choose_memory(self.settings, memory)
        size, calls = get_chunk_size(payload), payload["call_ids"]
        chunks = [calls[at : at + size] for at in range(0, len(calls), size)]
        jobs = []
        for first in range(0, len(chunks), MOST_ELEMENTS):
            part = chunks[first : first + MOST_ELEMENTS]
            jobs.append(submit(render_array(settings, folder, len(part), first)))
            with self.lock:
                for k, chunk in enumerate(part):
                    self.elements[f"{jobs[-1]}_{k}"] = payload["job_key"], chunk
        self._watch()
        return jobs[0]

    def _watch(self) -> None:
        """Watch jobs from now on, until there is none."""
        if self.is_over is None:
            self.is_over = threading.Event()
            watcher = threading.Thread(
                target=self._find_ended, args=(self.is_over,), daemon=True
            )
            watcher.start()

    def _find_ended(self, is_over: threading.Event) -> None:
        """Report the calls of elements that have ended without their answers.

        What a job has written last may be seen late: an element is over twice before
        its calls are looked at.
        """
        over: set[str] = set()
        while not is_over.wait(POLL_S):
            with self.lock:
                known = set(self.elements)
            if (states := list_states()) is None:
                continue
            before, over = over, {e for e in known if get_state(states, e) in ENDED}
            for element in before & over:
                self._report(element, get_state(states, element))

    def _report(self, element: str, state: str) -> None:
        """Write an error as the answer of each call of an element that has none."""
        key, calls = self.elements.get(element, ("", []))
        said = f"Slurm job {element} ended ({state}) before its function"
        kind = MemoryError if state == "OUT_OF_MEMORY" else RuntimeError
        if payload := self.payloads.get(key):
            try:
                for call in calls:
                    put_error(self.storage, payload, call, kind("HANDLER", said))
            except Exception as error:  # the store is away: once more, later
                logger.warning("%s: %s", said, error)
                return
        with self.lock:
            self.elements.pop(element, None)

    def clear(self, job_keys: Iterable[str] | None = None, *_: Any) -> None:
        """End jobs of Lithops, all where none is named; remove what they left."""
        keys = set(self.payloads if job_keys is None else job_keys)
        with self.lock:
            over = [e for e, (key, _) in self.elements.items() if key in keys]
            for element in over:
                del self.elements[element]
        states = list_states() if over else {}
        alive = [e for e in over if not states or get_state(states, e) not in ENDED]
        if alive:
            ask_slurm(["scancel", *alive])
        for key in keys:
            self.payloads.pop(key, None)
            shutil.rmtree(self.folder / key, ignore_errors=True)
            if self.storage.backend == NAME and job_keys is None:
                self._remove_objects(key)
        if not self.payloads and self.is_over:
            self.is_over.set()
            self.is_over = None

    def _remove_objects(self, key: str) -> None:
        """Remove what Lithops has stored for one of its jobs, and its function."""
        jobs = Path(self.settings.folder) / BUCKET / "lithops.jobs"
        for name in (key, key.rpartition("-")[0]):
            shutil.rmtree(jobs / name, ignore_errors=True)


def list_states() -> dict[str, str] | None:
    """Return the states of this user's elements, None where Slurm is silent.

    Slurm forgets what has ended some minutes ago.
    """
    command = ["squeue", "--noheader", "--array", "--me", "--states=all"]
    command += ["--format", "%F_%K %T"]
    done = ask_slurm(command)
    if done is None or done.returncode:
        return None
    words = done.stdout.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def get_state(states: dict[str, str], element: str) -> str:
    """Return the state of an element; one array, cancelled before it ran, has none."""
    array = element.partition("_")[0]
    return states.get(element, states.get(f"{array}_N/A", GONE))


def put_error(
    storage: Any, payload: dict[str, Any], call: str, error: Exception
) -> None:
    """Write an error as the answer of a call, as a worker would, if there is none.

    Parameters
    ----------
    error
        Whose first argument is HANDLER: one of Lithops', not of the function's.
    """
    from lithops.storage.utils import create_status_key

    at = payload["executor_id"], payload["job_id"], call
    if storage.get_call_status(*at) is not None:
        return
    now_s = time.time()
    status = {
        "type": "__end__",
        "exception": True,
        "exc_info": str(pickle.dumps((type(error), error, None))),
        "executor_id": at[0],
        "job_id": at[1],
        "call_id": call,
        "activation_id": "slurm",
        "chunksize": payload["chunksize"],
        "host_submit_tstamp": payload["host_submit_tstamp"],
        "worker_start_tstamp": now_s,
        "worker_end_tstamp": now_s,
        "worker_cold_start": True,
    }
    storage.put_data(create_status_key(*at), json.dumps(status))


def main(path: str, number: str) -> None:
    """Run the calls of one element of a job array, which is no rank of who asked."""
    for name in LAUNCHED_BY_MPI:
        os.environ.pop(name, None)
    register()
    from lithops.worker import function_handler

    os.environ["__LITHOPS_ACTIVATION_ID"] = f"slurm-{number}"
    os.environ["__LITHOPS_BACKEND"] = "Slurm"
    function_handler(cut_payload(json.loads(Path(path).read_text()), int(number)))


if __name__ == "__main__":
    main(*sys.argv[1:])
