"""What the telemetry of a run says to do next time, in plain words."""

from hpc_connector.allocation.cost import COLLECT_BYTES
from hpc_connector.report.facts import format_bytes
from hpc_connector.run_record import NodeUse, RankUse, Summary

IDLE = 0.7  # utilisation below which cores are left over
CROWDED = 1.1  # above which ranks used more cores than they were to have
UNEVEN = 0.15  # imbalance from which waiting is worth a word
MARGIN = 1.1  # on the memory that was used: ask for that much
LARGE = 20 << 30  # bytes from which --mem is told in G
LEAST_BYTES = 4 << 20  # an interpreter alone takes more
SHORT_S = 10.0  # a run that says little
SEEN = 0.99  # share of the time that samples should cover


def make_advice(summary: Summary) -> list[str]:
    """Return sentences, the most useful first; one at least.

    Parameters
    ----------
    summary
        As ``collect`` puts it into the manifest, "telemetry".
    """
    nodes, ranks = summary["nodes"], summary["ranks"]
    wall_s = max(node["wall_s"] for node in nodes)
    gap_s = max(node["gap_s"] for node in nodes)
    said = []
    if wall_s < SHORT_S:
        said.append(
            f"The run took {wall_s:.1f} s: most of that is the start, and the figures "
            "say little of a longer one."
        )
    said += advise_cores(summary["utilisation"], summary["imbalance"], ranks)
    said.append(advise_memory(nodes))
    if gap_s > (1 - SEEN) * wall_s:
        said.append(f"A node was not seen for {gap_s:.1f} s: it was paused or crowded.")
    return said


def advise_cores(
    utilisation: float | None, imbalance: float | None, ranks: list[RankUse]
) -> list[str]:
    """Return the advice on cores, and on ranks that waited."""
    said = []
    if utilisation is not None and utilisation > CROWDED:
        said.append(
            f"Ranks used {utilisation:.1f} cores for each that they were to have: give "
            "them more with --cpus-per-task, or limit their threads."
        )
    elif utilisation is not None and utilisation < IDLE:
        said.append(
            f"Cores were busy {utilisation:.0%} of the time. Fewer "
            f"{'ranks' if len(ranks) > 1 else 'threads'} would take about as long "
            "where they wait for files, for each other, or for cores that other work "
            "uses."
        )
    if imbalance is not None and imbalance > UNEVEN and len(ranks) > 1:
        busiest = max(ranks, key=lambda rank: rank["cpu_s"])
        said.append(
            f"Rank {busiest['rank']} worked {imbalance:.0%} more than the mean rank: "
            "if the others waited for it, smaller tasks share out better."
        )
    return said


def advise_memory(nodes: list[NodeUse]) -> str:
    """Return the memory to ask for: the peak of the largest node and a tenth.

    Rows are joined when the agents have ended, so that no peak has it.
    """
    peak_bytes = max(node["peak_bytes"] for node in nodes)
    if peak_bytes <= 0:
        return "No memory was seen in use: there is nothing to size --mem by."
    if peak_bytes < LEAST_BYTES:
        return (
            f"A node needed {format_bytes(peak_bytes)} by its rows, less than any "
            "program does: there is nothing to size --mem by."
        )
    ask = int((peak_bytes + COLLECT_BYTES) * MARGIN)
    shift, unit = (20, "M") if ask < LARGE else (30, "G")
    return (
        f"A node needed {format_bytes(peak_bytes)} at most, and joining its telemetry "
        f"at the end takes {format_bytes(COLLECT_BYTES)} that no agent sees: "
        f"--mem={-(-ask >> shift)}{unit} leaves a tenth to spare."
    )
