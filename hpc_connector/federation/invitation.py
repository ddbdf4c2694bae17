"""Invitations: the study as each site gets it, with the public keys of all."""

import base64
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from hpc_connector.confidential.keys import load_recipients, save_new_keys
from hpc_connector.errors import BadInput
from hpc_connector.federation.study import Study, read_study
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
    read_study(out / study.sites[0].name / STUDY)
    return made


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
