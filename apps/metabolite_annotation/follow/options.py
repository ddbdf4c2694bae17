"""The options of ``metabolite-annotation follow``."""

from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path

from hpc_connector.options import option, seconds
from metabolite_annotation.options import Options

GROUP = "acquisition"


@dataclass(frozen=True, kw_only=True)
class FollowOptions(Options):
    """What ``metabolite-annotation follow`` takes: what a run does, of a stream.

    Those without help are of a run alone: of a file, of what is known beforehand, or of
    what must not lie beside the results in the clear.
    """

    dataset: str = option(
        MISSING,
        "stream of the spectra: file:///folder, nats://host:4222/NAME, or "
        "pravega://host:9090/scope/stream",
        group=GROUP,
        flag="",
        metavar="URL",
    )
    every: float = option(
        60.0,
        "between two growing results at least: 30s, 5m, seconds (default: %(default)g)",
        group=GROUP,
        read=seconds,
        metavar="TIME",
    )
    stream_profile: Path | None = option(
        None,
        "file with credentials and certificates of a server of NATS (default: none)",
        group=GROUP,
        read=Path,
        metavar="FILE",
    )

    section: float | None = None
    check: bool = True
    plan: bool = False
    encrypt_to: tuple[Path, ...] | None = None
    burst: Path | None = None
    burst_workers: int | None = None
    burst_share: float | None = None
    budget: float | None = None
    deadline: float | None = None
    engine: str = "mpi"
    policy: Path | None = None
    history: tuple[Path, ...] | None = None


def make_search_options(
    options: FollowOptions, name: str, out: Path, started_s: float
) -> Options:
    """Return the options of one search of what was received.

    Parameters
    ----------
    name
        Of the dataset.
    out
        Folder of its results.
    started_s
        By the monotonic clock.
    """
    own = {one.name: getattr(options, one.name) for one in fields(Options)}
    search = Options(**own)
    where = f"{name}.imzML"  # as it will be called
    return replace(search, dataset=where, out=out, resume=False, started_s=started_s)
