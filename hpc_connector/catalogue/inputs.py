"""The inputs of a run by their data set: allowed first, then as they were added."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from hpc_connector.catalogue.catalog import find_place, open_catalog
from hpc_connector.catalogue.lookup import get
from hpc_connector.catalogue.policy import check_use
from hpc_connector.catalogue.records import DataSet, StoredObject
from hpc_connector.catalogue.repositories.identifiers import STUDY
from hpc_connector.catalogue.verify import AT_ONCE
from hpc_connector.confidential.identity.claims import Claims
from hpc_connector.errors import BadInput
from hpc_connector.options import WAS, RunOptions, is_of_catalog
from hpc_connector.storage.address import Source
from hpc_connector.storage.requests import look

logger = logging.getLogger(__name__)

Options = TypeVar("Options", bound=RunOptions)
Roles = Mapping[str, Sequence[str]]
KEEPER = "keeper:"


def take_inputs(
    options: Options, roles: Roles, check: Callable[[DataSet], None] | None = None
) -> Options:
    """Return options with files, keys and facts of the data sets that they name.

    Parameters
    ----------
    roles
        Of objects, by the options that take them. An option that is not given has those
        of its roles too.
    check
        Refuses a data set that may be used, but not for this; before it is looked at.

    Raises
    ------
    BadInput
        A data set that is not there, may not be used, has changed, or has no object for
        an option.
    """
    with open_catalog(find_place(options.catalog)) as catalog:
        named = _list_named(options, roles)
        sets = {name: get(catalog, name) for name in named}
        for one in sets.values():
            check_use(
                catalog,
                one,
                load_user,
                options.purpose or "",
                get_level(options, one),
                by_keeper=is_released(options, one),
            )
            if check is not None:
                check(one)
    for one in sets.values():
        check_objects(one)
        logger.info("%s: %s", one.name, one.title)
    told = {
        each.url: {
            **name_set(one),
            WAS: {"bytes": each.bytes, "sha256": each.sha256, "etag": each.tag},
        }
        for one in sets.values()
        for each in one.objects
    }
    chosen = _choose(options, roles, sets)
    return replace(options, **chosen, **_get_key(options, sets), datasets=told)


def name_set(one: DataSet) -> dict[str, Any]:
    """Return what a manifest says of a data set: which it is, also in a repository."""
    told = {"id": one.id, "version": one.version, "fingerprint": one.fingerprint}
    known = one.facts.get(STUDY)
    return {**told, STUDY: known} if known else told


def load_user() -> Claims:
    """Return who has logged in."""
    # slow to import, and not every data set asks
    from hpc_connector.confidential.identity.login import get_user

    return get_user()


def get_level(options: RunOptions, one: DataSet) -> int | None:
    """Return the level of evidence by which a run opens a data set; None if a keeper.

    That proves it, and asks for the level that it has itself for the data set.
    """
    key = options.key or _name_keeper(one)
    return None if key is None or key.startswith(KEEPER) else 0


def is_released(options: RunOptions, one: DataSet) -> bool:
    """Return whether a keeper decides of all objects of a data set who opens them."""
    key = options.key or _name_keeper(one) or ""
    return key.startswith(KEEPER) and all(each.encryption for each in one.objects)


def _name_keeper(one: DataSet) -> str | None:
    return f"{KEEPER}{one.policy.keeper}" if one.policy.keeper else None


def _get_key(options: RunOptions, sets: Mapping[str, DataSet]) -> dict[str, Any]:
    """Return the key that the catalogue knows of, if none is given."""
    known = {_name_keeper(one) for one in sets.values() if one.is_encrypted}
    known.discard(None)
    if options.key or not known:
        return {}
    if len(known) > 1:
        raise BadInput(f"expected data sets of one keeper, found {len(known)}: --key")
    return {"key": known.pop()}


def check_objects(one: DataSet) -> None:
    """Refuse a data set of which an object is not as it was when it was added.

    Raises
    ------
    BadInput
        One is not; the message has the first.
    """
    with ThreadPoolExecutor(AT_ONCE, "objects") as pool:
        versions = list(pool.map(look, [Source(each.url) for each in one.objects]))
    for each, now in zip(one.objects, versions, strict=True):
        if (now.size, now.etag) != (each.bytes, each.tag or now.etag):
            raise BadInput(
                f"{each.url} has changed since it was added to {one.name}: expected "
                "hpc-connector catalog add; catalog verify says what has changed"
            )


def _list_named(options: RunOptions, roles: Roles) -> list[str]:
    """Return the references in options, each once."""
    words = [word for name in roles for word in _get_words(options, name)]
    return list(dict.fromkeys(word for word in words if is_of_catalog(word)))


def _get_words(options: RunOptions, name: str) -> list[str]:
    value = getattr(options, name)
    return [value] if isinstance(value, str) else list(value or ())


def _choose(
    options: RunOptions, roles: Roles, sets: Mapping[str, DataSet]
) -> dict[str, Any]:
    """Return the options whose values come from data sets."""
    chosen: dict[str, Any] = {}
    for name, wanted in roles.items():
        words = _get_words(options, name)
        found: list[str] = []
        for word in words or sets:
            objects = _find(sets[word], wanted) if word in sets else []
            if words and word in sets and not objects:
                raise BadInput(f"{word}: has no {' or '.join(wanted)} for {name}")
            found += [each.url for each in objects] or [word][: bool(words)]
        if not found or found == words:
            continue
        is_one = not isinstance(getattr(options, name), list | tuple)
        if is_one and len(found) > 1:
            raise BadInput(f"{name}: expected one file, found {', '.join(found)}")
        chosen[name] = found[0] if is_one else tuple(found)
    return chosen


def _find(one: DataSet, roles: Sequence[str]) -> list[StoredObject]:
    return [each for each in one.objects if each.role in roles]
