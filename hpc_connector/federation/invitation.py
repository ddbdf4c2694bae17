"""Invitations: the study as each site gets it, with the public keys of all."""

import base64
import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

from hpc_connector.confidential.keys import load_recipients, save_new_keys
from hpc_connector.errors import BadInput
from hpc_connector.federation.study import Study, read_study
from hpc_connector.federation.variants import read_reference
from hpc_connector.publish import publish

HEADER = re.compile(r"\s*\[")
NAME = re.compile(r"""\s*name\s*=\s*["']([^"']+)["']""")
STUDY, KEY = "STUDY.toml", "mask"


def invite(path: Path, out: Path) -> list[Path]:
    """Write a folder for each site: the study, its list, and a new key if it has none.

    The study is the same bytes in all.

    Returns
    -------
    The private keys that were made: each goes to its site, and stays nowhere else.

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
    made, publics = [], {}
    for site in study.sites:
        folder = out / site.name
        folder.mkdir(parents=True)
        if site.mask_public is None:
            private, public = save_new_keys(folder / KEY)
            made.append(private)
            publics[site.name] = load_recipients([public])[0]
    text = add_keys(path.read_text(), publics)
    text = name_reference(text, study)
    for site in study.sites:
        with publish(out / site.name / STUDY, "open") as stream:
            stream.write(text.encode())
        shutil.copyfile(study.reference, out / site.name / study.reference.name)
    return made


def check_text(path: Path, study: Study) -> None:
    """Refuse a study into which keys and the list cannot be written line by line.

    Raises
    ------
    BadInput
        Another way of TOML was taken than [[site]] and name = "..." in lines.
    """
    place = study.reference.name
    known = {n: bytes(31) + bytes([k + 1]) for k, n in enumerate(study.names)}
    lacking = {s.name: known[s.name] for s in study.sites if s.mask_public is None}
    try:
        text = name_reference(add_keys(path.read_text(), lacking), study)
        found = tomllib.loads(text)
        keys = [one.get("mask_public") for one in found["site"]]
        is_whole = None not in keys and found["variants"]["reference"] == place
    except ValueError:
        is_whole = False
    if not is_whole or place in (STUDY, f"{KEY}.sec", f"{KEY}.pub"):
        raise BadInput(
            f'{path}: expected [[site]], name = "..." and reference = "..." each in a '
            f"line of its own, and a list that is not called {STUDY}"
        )


def add_keys(text: str, publics: Mapping[str, bytes]) -> str:
    """Return a study with the public keys of masks after the names of their sites."""
    lines, is_site = [], False
    for line in text.splitlines():
        lines.append(line)
        if HEADER.match(line):
            is_site = line.split("#")[0].strip() == "[[site]]"
        found = NAME.match(line) if is_site else None
        if found and found[1] in publics:
            key = base64.b64encode(publics[found[1]]).decode()
            lines.append(f'mask_public = "{key}"')
    return "\n".join(lines) + "\n"


def name_reference(text: str, study: Study) -> str:
    """Return a study whose reference list lies beside it."""
    new = f'reference = "{study.reference.name}"'
    return re.sub(r"(?m)^\s*reference\s*=.*$", lambda _: new, text, count=1)
