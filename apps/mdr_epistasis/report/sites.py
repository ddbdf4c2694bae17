"""What each site of a federated search let out, for who is to answer for its data."""

from typing import Any

from hpc_connector.report.facts import format_bytes
from mdr_epistasis.report.run_file import SearchRun


def list_sites(run: SearchRun) -> dict[str, Any] | None:
    """Return what the page says of the sites; None of a search of one cohort."""
    part = run.get_part("federation")
    if not part:
        return None
    sites = [
        {
            "name": str(site.get("name", "")),
            "n_bytes": format_bytes(site.get("bytes", 0)),
            "queries": say_queries(site.get("queries", {})),
            "let_out": list(site.get("let_out", [])),
        }
        for site in part.get("sites", [])
        if isinstance(site, dict)
    ]
    hidden = part.get("cells_hidden", 0)
    said = f"{hidden:,} cells of tables are not shown" if hidden else ""
    of_all = say_queries(part.get("queries"))
    own = str(part.get("site", ""))
    return {
        "name": str(part.get("study", "")),
        "sites": sites,
        "of": f"site {own}, whose page this is" if own else f"{len(sites)} sites",
        "who": say_scorer(part, sites),
        "rules": list(part.get("rules", [])),
        "hidden": said,
        "queries": f"searches of all sites together: {of_all}",
    }


def say_scorer(part: dict[str, Any], sites: list[dict[str, Any]]) -> str:
    """Return who saw the sums of all sites: over MPI the first site scores."""
    by = str(part.get("transport", ""))
    if part.get("scorer") == "sites":
        who = "the hub and all sites see" if by.startswith("HTTPS") else "all sites see"
        return f"{who} the sums of all"
    who = "the hub, which scores," if by.startswith("HTTPS") else "who scores"
    if by.startswith("MPI") and sites:
        who = f"{sites[0]['name']}, which scores,"
    return f"{who} sees the sums of all sites, the others what is let out"


def say_queries(queries: Any) -> str:
    """Return how much of a budget is used."""
    if not isinstance(queries, dict) or "used" not in queries:
        return "not known"
    return f"{queries['used']} of {queries['most']}"
