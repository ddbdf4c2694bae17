"""The budget of a party: how often its cohort may be asked, and what its log has."""

from pathlib import Path

from hpc_connector.errors import BadInput
from hpc_connector.federation.records import alone, has_queried, open_log, tell
from hpc_connector.federation.release import check_people, use_budget
from hpc_connector.federation.study import Study

POOLED = "all"  # of whose records those of who scores are


def look_back(records: Path, study: Study, party: str, people: str) -> None:
    """Refuse other individuals than have been asked, before others hear of them.

    Raises
    ------
    BadInput
        They are others than those of a budget, or that is damaged.
    """
    path = name_budget(records, study, party)
    try:
        check_people(path, study, people, f"site {party}")
    except BadInput as error:
        log = open_log(records, study, party)
        tell(log, study, party, "refuse", reason=str(error))
        raise


def name_budget(records: Path, study: Study, party: str) -> Path:
    """Return the path of the budget of a party."""
    return records / f"{study.name}.{party}.queries.json"


def spend(
    records: Path, study: Study, party: str, cohort: str, who: str, people: str = ""
) -> dict[str, int]:
    """Count a query in the budget of a party; return what is used, and the most.

    It is in the log of the party too, also where it is refused.

    Raises
    ------
    BadInput
        The cohort has changed, or the budget is used up.
    """
    path = name_budget(records, study, party)
    with alone(records, study, party):
        log = open_log(records, study, party)
        try:
            is_new = not has_queried(log)
            used, most = use_budget(
                path, study, cohort, who, people=people, is_new=is_new
            )
        except BadInput as error:
            tell(log, study, party, "refuse", cohort=cohort, reason=str(error))
            raise
        tell(log, study, party, "query", cohort=cohort)
    return {"used": used, "most": most}
