"""The certificates of a study, all of which a hub needs."""

from typing import NamedTuple

from hpc_connector.errors import BadInput
from hpc_connector.federation.study import Study


class Certificates(NamedTuple):
    """Where the hub is, its certificate, and those of the sites, by name; all PEM."""

    url: str
    hub: str
    sites: dict[str, str]


def get_certificates(study: Study) -> Certificates:
    """Return the certificates of all parties.

    Raises
    ------
    BadInput
        The study has no hub, or lacks the certificate or the mask key of a party.
    """
    lacks = f"study {study.name}: expected"
    if study.hub is None:
        raise BadInput(f"{lacks} [hub] with its url, to search with a hub")
    if study.hub.certificate is None:
        raise BadInput(f"{lacks} the certificate of [hub] (federate invite makes it)")
    if study.get_publics() is None:
        raise BadInput(f"{lacks} the mask_public of all sites (federate invite)")
    sites = {}
    for site in study.sites:
        if site.certificate is None:
            raise BadInput(f"{lacks} the certificate of site {site.name} (invite)")
        sites[site.name] = site.certificate
    return Certificates(study.hub.url, study.hub.certificate, sites)
