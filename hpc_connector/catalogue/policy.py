"""Who may use a data set: what its policy says of a user, a purpose and a day.

The keeper of the keys decides; the catalogue says the same before anything is read.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import date

from hpc_connector.catalogue.catalog import Catalog
from hpc_connector.catalogue.records import DataSet, get_today
from hpc_connector.confidential.identity.claims import Claims, has_role
from hpc_connector.errors import BadInput

ROLE = "role:"
LOGIN = "expected a login: hpc-connector keys login"


def asks_who(one: DataSet) -> bool:
    """Return whether it matters who uses a data set."""
    if one.access == "public":
        return False
    has_conditions = bool(one.policy.roles or one.policy.grants)
    return has_conditions or one.access == "non-public"


def is_let_in(one: DataSet, user: Claims, today: date) -> bool:
    """Return whether a user has a role of a data set, or a grant that holds."""
    if any(has_role(user, role) for role in one.policy.roles):
        return True
    live = [grant.to for grant in one.policy.grants if grant.is_live(today)]
    roles = [to.removeprefix(ROLE) for to in live if to.startswith(ROLE)]
    return user.subject in live or any(has_role(user, role) for role in roles)


def find_denial(
    one: DataSet,
    user: Claims | None,
    purpose: str = "",
    level: int | None = None,
    today: date | None = None,
    *,
    by_keeper: bool = False,
) -> str:
    """Return what is missing for a use of a data set; nothing where it is allowed.

    Parameters
    ----------
    user
        Claims of a token that was verified, None without one.
    level
        Of the evidence by which encrypted objects are opened; None to leave that.
    today
        In UTC; now if it is None.
    by_keeper
        Whether a keeper releases all of it, which has asked for a login before it gave
        its grant: a job may have none.
    """
    today = today or get_today()
    policy = one.policy
    if asks_who(one):
        if user is None and not by_keeper:
            return LOGIN
        if user is not None and not is_let_in(one, user, today):
            wanted = " or ".join([*policy.roles, "a grant"])
            return f"expected {wanted} of {user.name or user.subject}"
    if policy.purposes and purpose not in policy.purposes:
        return f"expected --purpose, one of {', '.join(policy.purposes)}"
    if policy.until and today > date.fromisoformat(policy.until):
        return f"its use has ended on {policy.until}"
    if level is not None and one.is_encrypted and level < policy.least_level:
        return (
            f"expected evidence of level {policy.least_level}, found {level}: a keeper "
            "proves more than --key FILE"
        )
    return ""


def _find_user(get_user: Callable[[], Claims]) -> Claims | None:
    """Return who it is; None without a login that holds."""
    try:
        return get_user()
    except BadInput:
        return None


def check_use(
    catalog: Catalog,
    one: DataSet,
    get_user: Callable[[], Claims],
    purpose: str = "",
    level: int | None = None,
    *,
    by_keeper: bool = False,
) -> None:
    """Refuse a use that the policy of a data set does not allow, and keep that.

    Parameters
    ----------
    get_user
        Returns who it is by a verified token; called where that matters.

    Raises
    ------
    BadInput
        With what is missing, and whom to ask.
    """
    user = _find_user(get_user) if asks_who(one) else None
    reason = find_denial(one, user, purpose, level, by_keeper=by_keeper)
    if not reason:
        return
    what = {"do": "deny", "id": one.id, "version": one.version, "reason": reason}
    subject = user.subject if user else ""
    told = what | {"purpose": purpose, "subject": subject}
    with contextlib.suppress(BadInput, sqlite3.Error):  # of who may only read it
        catalog.append(told)
    ask = one.policy.contact or one.publisher
    raise BadInput(f"{one.name}: {reason}{f'; ask {ask}' if ask else ''}")
