"""What a site brings: files, encrypted or not, by their names or by a catalogue."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.federation.release import check_policy
from hpc_connector.federation.study import Study
from hpc_connector.manifest import add_data_set, check_trust, describe_input
from hpc_connector.pipeline.access import begin_access
from hpc_connector.run_record import FromCatalogue
from hpc_connector.storage import key_ring
from hpc_connector.storage.address import is_encrypted
from mdr_epistasis.federated.options import FederateOptions, place_all
from mdr_epistasis.inputs import list_inputs
from mdr_epistasis.options import Options, choose_inputs


def take_inputs(
    options: FederateOptions, args: Options, study: Study, site: str, rank: int
) -> Options:
    """Return the options of a site, whose inputs may be used and can be opened now.

    Raises
    ------
    BadInput
        A data set that may not be used, or not for this study; a key that cannot be
        used, or files that it does not open.
    """
    own = replace(args, **place_all(options, args, site, rank))
    own = choose_inputs(own, partial(check_data_set, study, site))
    begin_access(own)
    check_trust(own, list_inputs(own))
    return own


def check_data_set(study: Study, site: str, one: Any) -> None:
    """Refuse a study that lets out more than the policy of a data set does."""
    policy = one.policy
    where = f"site {site}: {one.name}"
    check_policy(study, where, policy.least_cell, policy.top_most)


def check_ranks_keys(options: FederateOptions) -> None:
    """Refuse an open file that all ranks would read, each of which is a site.

    Raises
    ------
    BadInput
        There is one.
    """
    key = options.key or ""
    shared = "--passphrase-fd" if options.passphrase_fd is not None else ""
    if key.startswith("fd:") and "{rank}" not in key:
        shared = "--key fd:"
    if shared:
        raise BadInput(
            f"{shared}: one open file is not for several ranks: expected files of keys "
            "without a passphrase, or each site by itself (--site)"
        )


def check_inputs(own: Options) -> None:
    """Refuse what is not as a catalogue has it; say what has no seal.

    Files that a catalogue names are read once more, for their SHA-256.

    Parameters
    ----------
    own
        From :func:`take_inputs`.

    Raises
    ------
    BadInput
        One has changed.
    """
    for path in list_inputs(own):
        add_data_set(describe_input(path, checksum=path in own.datasets), own)


def list_datasets(own: Options) -> list[FromCatalogue]:
    """Return the data sets of a catalogue that the cohort of a site is.

    Parameters
    ----------
    own
        From :func:`take_inputs`.
    """
    known = {one["id"]: one for one in own.datasets.values()}
    return [
        FromCatalogue(id=name, version=one["version"], fingerprint=one["fingerprint"])
        for name, one in known.items()
    ]


def describe_access(own: Options) -> dict[str, Any]:
    """Return on what evidence a site opens its encrypted files, if it has some."""
    if not any(map(is_encrypted, list_inputs(own))):
        return {}
    facts = key_ring.get_facts()
    return {"confidential": {name: facts[name] for name in ("evidence", "proved")}}


def say_datasets(datasets: Sequence[FromCatalogue]) -> list[str]:
    """Return in sentences what others are told of the cohort of a site."""
    return [
        f"in plain, to all sites: that its data set is {one['id']}@{one['version']}, "
        f"of fingerprint {one['fingerprint']}"
        for one in datasets
    ]
