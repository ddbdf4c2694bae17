"""Identifiers of public repositories: their forms, record pages, and what to download.

Nothing is fetched: who asks downloads, and adds what was downloaded.
"""

import re
from datetime import datetime
from typing import NamedTuple

from hpc_connector.errors import BadInput

STUDY, ANALYSIS = "identifier", "analysis"  # facts of a data set that hold one
RECORD = "record"  # fact that has the address of its page


class Repository(NamedTuple):
    """A repository.

    Parameters
    ----------
    name
        For people.
    form
        Of an identifier, as a pattern; `shown` is the form in words.
    page
        Of a record, with ``{}`` for its identifier.
    files
        What to download.
    option
        Of ``catalog add``, by which that is added.
    """

    name: str
    form: re.Pattern[str]
    shown: str
    page: str
    files: str
    option: str


METASPACE, METABOLIGHTS, WORKBENCH = "metaspace", "metabolights", "workbench"
_WORKBENCH = "https://www.metabolomicsworkbench.org"
TIME = "%Y-%m-%d_%Hh%Mm%Ss"  # of METASPACE's identifiers
REPOSITORIES = {
    METASPACE: Repository(
        "METASPACE",
        re.compile(r"\d{4}-\d\d-\d\d_\d\dh\d\dm\d\ds"),
        "YYYY-MM-DD_HHhMMmSSs",
        "https://metaspace2020.org/dataset/{}",
        "the imzML and .ibd files, the annotations as CSV, and the metadata as JSON",
        "--from-metaspace DIR",
    ),
    METABOLIGHTS: Repository(
        "MetaboLights",
        re.compile(r"MTBLS[1-9]\d{0,8}"),
        "MTBLS and a number",
        "https://www.ebi.ac.uk/metabolights/{}",
        "i_Investigation.txt, s_*.txt, a_*.txt and m_*.tsv, and below FILES/ the files "
        "that a_*.txt names",
        "--from-isatab DIR",
    ),
    WORKBENCH: Repository(
        "Metabolomics Workbench",
        re.compile(r"(?:ST|AN)\d{6}"),
        "ST and six digits of a study, or AN and six of an analysis",
        f"{_WORKBENCH}/data/DRCCMetadata.php?Mode=Study&StudyID={{}}",
        "the mwTab file, text or JSON, and the raw files that it names",
        "--from-mwtab FILE",
    ),
}


class Identifier(NamedTuple):
    """An identifier of a repository, one of :data:`REPOSITORIES`."""

    repository: str
    text: str

    def __str__(self) -> str:
        """Return it with its repository, as facts have it."""
        return f"{self.repository}:{self.text}"

    @property
    def fact(self) -> str:
        """The fact of a data set that holds such an identifier."""
        return ANALYSIS if self.text.startswith("AN") else STUDY

    @property
    def value(self) -> str:
        """What that fact says of it."""
        return self.text if self.fact == ANALYSIS else str(self)

    @property
    def page(self) -> str:
        """Address of its record."""
        if self.fact == ANALYSIS:
            return f"{_WORKBENCH}/rest/study/analysis_id/{self.text}/mwtab"
        return REPOSITORIES[self.repository].page.format(self.text)


def read_identifier(text: str) -> Identifier:
    """Return an identifier with its repository, ``REPOSITORY:ID``.

    Examples
    --------
    >>> read_identifier("metabolights:MTBLS313").page
    'https://www.ebi.ac.uk/metabolights/MTBLS313'

    Raises
    ------
    BadInput
        It is none; the message has the form.
    """
    repository, _, name = text.partition(":")
    if repository not in REPOSITORIES:
        known = ", ".join(f"{one}:ID" for one in REPOSITORIES)
        raise BadInput(f"{text}: expected {known}")
    if not is_of(repository, name):
        shown = REPOSITORIES[repository].shown
        raise BadInput(f"{text}: expected {repository}:ID, where ID is {shown}")
    return Identifier(repository, name)


def is_of(repository: str, name: str) -> bool:
    """Return whether text is an identifier of a repository."""
    if not (name.isascii() and REPOSITORIES[repository].form.fullmatch(name)):
        return False
    return repository != METASPACE or _is_time(name)


def is_identifier(text: str) -> bool:
    """Return whether text is an identifier with its repository."""
    repository, _, name = text.partition(":")
    return repository in REPOSITORIES and is_of(repository, name)


def _is_time(name: str) -> bool:
    try:
        return bool(datetime.strptime(name, TIME))
    except ValueError:
        return False
