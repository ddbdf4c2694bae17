"""Invitations: the study as each party gets it, with public keys and certificates."""

import base64
import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

from hpc_connector.confidential.asking import read_address
from hpc_connector.confidential.keys import load_recipients, save_new_keys
from hpc_connector.errors import BadInput
from hpc_connector.federation.hub.tls import MOST_DAYS, make_certificate
from hpc_connector.federation.study import HUB, Study, read_study
from hpc_connector.federation.variants import read_reference
from hpc_connector.publish import publish

HEADER = re.compile(r"\s*\[")
NAME = re.compile(r"""\s*name\s*=\s*["']([^"']+)["']""")
URL = re.compile(r"\s*url\s*=")
STUDY, KEY, TLS_KEY = "STUDY.toml", "mask", "tls.key"
Lines = dict[str, list[str]]  # that a study lacks, by the party that they are of


def invite(path: Path, out: Path, days: float = MOST_DAYS) -> list[Path]:
    """Write a folder for each party: the study, its list, and new keys that it lacks.

    A party is a site, or the hub. The study is the same bytes in all.

    Parameters
    ----------
    days
        That certificates last.

    Returns
    -------
    The private keys that were made: each goes to its party, and stays nowhere else.

    Raises
    ------
    BadInput
        The study cannot be used, or the folder is not empty.
    """
    study = read_study(path)
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out} is not empty: expected a new folder")
    read_reference(study.reference, study.palindromic)
    check_text(path, study)
    parties = [*study.names, *([HUB] if study.hub else [])]
    for party in parties:
        (out / party).mkdir(parents=True)
    made, lines = make_lacking(study, out, days)
    text = name_reference(add_lines(path.read_text(), lines), study)
    for party in parties:
        with publish(out / party / STUDY, "open") as stream:
            stream.write(text.encode())
        shutil.copyfile(study.reference, out / party / study.reference.name)
    return made


def make_lacking(study: Study, out: Path, days: float) -> tuple[list[Path], Lines]:
    """Make the keys that a study lacks.

    Returns
    -------
    The private ones, and lines of the public ones and of certificates.
    """
    made: list[Path] = []
    lines: Lines = {name: [] for name in (*study.names, HUB)}
    for site in study.sites:
        if site.mask_public is None:
            private, line = make_mask_key(out / site.name)
            made.append(private)
            lines[site.name].append(line)
        if study.hub is not None and site.certificate is None:
            private, line = make_tls_key(out / site.name, site.name, "", days)
            made.append(private)
            lines[site.name].append(line)
    if study.hub is not None and study.hub.certificate is None:
        private, line = make_tls_key(out / HUB, HUB, study.hub.url, days)
        made.append(private)
        lines[HUB].append(line)
    return made, lines


def make_mask_key(folder: Path) -> tuple[Path, str]:
    """Write a new key of masks; return its path, and the line of the public one."""
    private, public = save_new_keys(folder / KEY)
    key = load_recipients([public])[0]
    return private, f'mask_public = "{base64.b64encode(key).decode()}"'


def make_tls_key(folder: Path, name: str, url: str, days: float) -> tuple[Path, str]:
    """Write a new key of TLS; return its path, and the line of the certificate.

    Parameters
    ----------
    url
        Under which the party is called, of a hub; else empty.
    """
    path = folder / TLS_KEY
    if path.exists():
        raise BadInput(f"{path} is there: expected a folder without it")
    hosts = [read_address(url)[0]] if url else []
    pem, private = make_certificate(name, hosts, days)
    with publish(path, "open", private=True) as stream:
        stream.write(private)
    return path, f'certificate = """\n{pem}"""'


def make_identity(folder: Path, name: str, url: str, days: float) -> list[str]:
    """Write the keys of one party; return what the study says of it, line by line.

    Parameters
    ----------
    url
        Of a hub; empty of a site.

    Raises
    ------
    BadInput
        A hub has no address, or a site has one; there are keys in the folder.
    """
    if name == HUB and not url:
        raise BadInput(f"{HUB}: expected --url https://HOST:PORT, where sites reach it")
    if url and name != HUB:
        raise BadInput(f"{name}: expected no --url, which is of a {HUB}")
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder / f"{KEY}.sec", folder / TLS_KEY):
        if path.exists():
            raise BadInput(f"{path} is there: expected a folder without keys")
    _, certificate = make_tls_key(folder, name, url, days)
    if url:
        return ["[hub]", f'url = "{url}"', certificate]
    return ["[[site]]", f'name = "{name}"', make_mask_key(folder)[1], certificate]


def check_text(path: Path, study: Study) -> None:
    """Refuse a study into which keys and the list cannot be written line by line.

    Raises
    ------
    BadInput
        Another way of TOML was taken than tables and keys in lines.
    """
    place, mark = study.reference.name, "added = true"
    parties = [*study.names, *([HUB] if study.hub else [])]
    text = add_lines(path.read_text(), {party: [mark] for party in parties})
    try:
        found = tomllib.loads(name_reference(text, study))
        tables = [*found["site"], *([found["hub"]] if study.hub else [])]
        is_whole = all(one.get("added") for one in tables)
        is_whole = is_whole and found["variants"]["reference"] == place
    except ValueError:
        is_whole = False
    if not is_whole or place in (STUDY, f"{KEY}.sec", f"{KEY}.pub", TLS_KEY):
        raise BadInput(
            f'{path}: expected [[site]], name = "...", [hub], url = "..." and '
            f'reference = "..." each in a line of its own, and a list that is not '
            f"called {STUDY}"
        )


def add_lines(text: str, added: Mapping[str, list[str]]) -> str:
    """Return a study with more lines after names of sites, and after the hub's url."""
    lines, table = [], ""
    for line in text.splitlines():
        lines.append(line)
        if HEADER.match(line):
            table = line.split("#")[0].strip()
        found = NAME.match(line) if table == "[[site]]" else None
        if found:
            lines += added.get(found[1], [])
        elif table == f"[{HUB}]" and URL.match(line):
            lines += added.get(HUB, [])
    return "\n".join(lines) + "\n"


def name_reference(text: str, study: Study) -> str:
    """Return a study whose reference list lies beside it."""
    new = f'reference = "{study.reference.name}"'
    return re.sub(r"(?m)^\s*reference\s*=.*$", lambda _: new, text, count=1)
