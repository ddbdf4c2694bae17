"""The record of a run, ``manifest.json``: its keys, what they mean, their units.

A file may lack keys, for a run that is not over, and may be damaged: whoever reads one
that another run wrote looks at what is there.
"""

from typing import Any, NotRequired, TypedDict


class SealFacts(TypedDict):
    """Whose seal of an encrypted file holds."""

    signer: str  # first 16 hexadecimal digits of the SHA-256 of the public key
    version: int  # a later one replaces those before


class FromCatalogue(TypedDict):
    """Which data set of a catalogue an input is of."""

    id: str
    version: int
    fingerprint: str  # SHA-256 of what all of its objects are, hexadecimal
    identifier: NotRequired[str]  # in a public repository, such as metabolights:MTBLS1


class Input(TypedDict):
    """A file that decides the results; it has one of the two fingerprints.

    Of an encrypted one all is of the ciphertext.
    """

    path: str  # as it was given
    bytes: int
    seal: NotRequired[SealFacts | str]  # of an encrypted file; "none" without one
    sha256: NotRequired[str]  # of a file, hexadecimal
    etag: NotRequired[str]  # of an object of a store
    dataset: NotRequired[FromCatalogue]  # if it was named by its catalogue


class Resources(TypedDict, total=False):
    """What the last attempt used, summed over ranks."""

    start_s: float  # from the start of the program to its first task
    ranks: int
    nodes: int
    threads: int  # of each rank
    wall_s: float
    cpu_s: float
    task_cpu_s: float  # of it, in tasks
    max_rss_bytes: int  # of the rank that had most
    fetch_requests: int  # these three where inputs are objects of a store
    fetched_bytes: int
    avoided_bytes: int  # of the objects, that were not fetched


class Begun(TypedDict):
    """The tasks of a run as the first of an attempt began."""

    tasks: int  # all that there are
    done_before: int  # by earlier attempts
    since_s: float  # Unix time


class Attempt(TypedDict):
    """An attempt of a job as Slurm accounts for it; 0 and empty if it does not say."""

    job: str  # its own number (JobIDRaw)
    state: str  # as Slurm calls it
    step_state: str  # of the step that ran the program
    nodes: str  # their names, as Slurm shortens them
    n_nodes: int
    n_tasks: int  # ranks
    cores: int  # of all nodes
    node_mem_bytes: int  # that it was given on each node
    start: str  # ISO 8601, local time
    elapsed_s: int
    limit_s: int
    cpu_s: float  # of all steps
    max_rss_bytes: int  # of the rank that had most
    max_rss_tasks: int  # ranks of the step of that rank
    energy_j: int | None
    time_efficiency: NotRequired[float | None]  # shares of what it held that it used
    cpu_efficiency: NotRequired[float | None]
    memory_efficiency: NotRequired[float | None]


class RankUse(TypedDict):
    """What a rank used by its telemetry, over all attempts; None if not known."""

    rank: int
    node: str
    cpu_s: float
    peak_bytes: int
    read_bytes: int | None  # from storage, and written to it
    write_bytes: int | None
    net_rx_bytes: int | None
    net_tx_bytes: int | None


class AgentUse(TypedDict):
    """What the agent of a node has cost itself."""

    cpu_s: float
    rss_bytes: int


class NodeUse(TypedDict):
    """What a node used by its telemetry, over all attempts."""

    node: str
    wall_s: float  # that it was watched
    core_s: float  # that its ranks could have used
    cpu_s: float
    max_rss_bytes: int  # as sampled
    peak_bytes: int  # by the kernel's mark
    energy_j: float | None
    source: str | None  # of the figures of memory and CPU time
    energy_source: str | None
    samples: int
    gaps: int  # times in which it was not seen
    gap_s: float
    agent: NotRequired[AgentUse | None]  # None of one that has not come to its end


class Share(TypedDict):
    """How much of something a job has used; None where it is not known."""

    used: float  # seconds, or bytes on a node
    held: float | None
    share: float | None
    said: str


class CallsUse(TypedDict):
    """What the functions of a run used by their telemetry."""

    calls: int
    cpu_s: float  # of all calls
    wall_s: float
    wall_p50_s: float  # of one
    wall_p90_s: float
    peak_bytes: int | None  # the greatest
    peak_source: str  # whose mark it is: of the call, or its process


class Summary(TypedDict):
    """The telemetry of a run in short; what comes after the notes is for readers."""

    file: str  # of all rows, in the folder of the run
    utilisation: float | None  # CPU time over the time of the cores
    imbalance: float | None  # by which the busiest rank is above the mean
    peak_bytes: int  # of the fullest node
    ranks: list[RankUse]
    nodes: list[NodeUse]
    notes: list[str]
    functions: NotRequired[CallsUse]
    efficiency: NotRequired[dict[str, Share]]  # of cores, memory and maybe time
    advice: NotRequired[list[str]]
    differences: NotRequired[list[str]]
    forecast: NotRequired[list[str]]


class RunRecord(TypedDict, total=False):
    """The record of a run. Only its beginning is there from the start."""

    format_version: int
    program: str
    version: str  # of the suite
    status: str  # "running", "done" or "stopped"
    attempt: int  # 1, 2, ... for each time that it was resumed
    job: str  # Slurm's number, empty without Slurm
    started: str  # UTC, ISO 8601
    command: str  # a line of shell
    parameters: dict[str, Any]  # options that decide the results
    inputs: list[Input]
    confidential: dict[str, Any]  # what opened encrypted inputs, and on what evidence
    software: dict[str, str]  # versions of what computes
    slurm: list[Attempt]  # of all jobs of the run, the last one at the end
    jobs: list[str]  # that it had before
    plan: dict[str, Any]  # what it takes by the formula, as a mapping of ``Cost``
    progress: Begun
    assumed: list[dict[str, str]]  # see ``notes.Assumption``
    counted: dict[str, int]  # what was left out or changed, by a phrase
    all_models: dict[str, Any]  # how many have which error
    cohort: dict[str, Any]  # these seven are the programs' own
    trait: dict[str, Any]
    acquired: dict[str, Any]  # of a stream, by ``metabolite-annotation follow``
    federation: dict[str, Any]  # of a search over sites, see ``federated.run``
    dataset: dict[str, Any]
    search: dict[str, Any]
    annotation: dict[str, Any]
    resources: Resources
    burst: dict[str, Any]  # see ``burst.run.describe``
    telemetry: Summary
    finished: str  # UTC, ISO 8601
    outputs: list[str]  # files, in the folder of the run
    recipients: list[str]  # fingerprints of who can read results, if not anybody


# What a manifest shows of a run with encrypted results: the rest, which comes of what
# was read and found, is in manifest.json.c4gh
OPEN = {"format_version", "program", "version", "status", "attempt", "job", "started"}
OPEN |= {"command", "parameters", "inputs", "software", "slurm", "jobs", "plan"}
OPEN |= {"progress", "resources", "telemetry", "finished", "outputs"}
OPEN |= {"confidential", "recipients"}
