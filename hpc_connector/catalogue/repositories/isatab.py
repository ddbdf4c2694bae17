"""A study from ISA-Tab, as MetaboLights has it: i_*.txt, s_*.txt, a_*.txt.

Format: ISA Model and Serialization Specifications 1.0 (Sansone et al. 2016,
doi:10.5281/zenodo.163640).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hpc_connector.catalogue.gather import About
from hpc_connector.catalogue.repositories.identifiers import (
    METABOLIGHTS,
    REPOSITORIES,
    Identifier,
    is_of,
)
from hpc_connector.catalogue.repositories.study import (
    Study,
    clean,
    find_files,
    join,
    keep,
)
from hpc_connector.catalogue.repositories.tables import (
    Row,
    Table,
    read_rows,
    read_table,
)
from hpc_connector.errors import BadInput

Lines = dict[str, Row]  # of an investigation file, by their labels
CELLS = {  # facts, and the columns of samples and assays that tell them
    "organism": ("Characteristics[Organism]",),
    "organism_part": ("Characteristics[Organism part]",),
    "polarity": ("Parameter Value[Scan polarity]",),
    "instrument": ("Parameter Value[Instrument]",),
    "ion_source": ("Parameter Value[Ion source]",),
    "mass_analyzer": ("Parameter Value[Mass analyzer]",),
}


def read_isatab(folder: Path) -> Study:
    """Return the study of a folder of ISA-Tab.

    Raises
    ------
    BadInput
        A file is missing or cannot be read; the message has the line. Or there are
        several studies.
    """
    place = find_investigation(folder)
    lines = read_investigation(place)
    samples = list(_read_named(folder, lines, "Study File Name"))
    assays = list(_read_named(folder, lines, "Study Assay File Name"))
    there, missing = find_files(folder, list_named(assays))
    own = [place, *(table.path for table in (*samples, *assays))]
    return Study(
        describe(lines),
        read_facts(lines, samples, assays),
        [*(str(path.absolute()) for path in own), *there],
        missing,
    )


def find_investigation(folder: Path) -> Path:
    """Return the investigation file of a folder.

    Raises
    ------
    BadInput
        There is none, or there are several.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: expected a folder of ISA-Tab")
    found = sorted(folder.glob("i_*.txt"))
    if len(found) != 1:
        raise BadInput(
            f"{folder}: {len(found)} files i_*.txt: expected a folder of ISA-Tab with "
            "one, i_Investigation.txt"
        )
    return found[0]


def read_investigation(path: Path) -> Lines:
    """Return the lines of an investigation with one study.

    Raises
    ------
    BadInput
        It is none, or has several studies.
    """
    lines: Lines = {}
    n_studies = 0
    for row in read_rows(path):
        label = row.cells[0]
        n_studies += label == "STUDY"
        if n_studies > 1:
            raise BadInput(f"{row.where}: another study: expected one a folder")
        lines.setdefault(label, Row(row.cells[1:], row.where))
    if not n_studies:
        raise BadInput(f"{path} has no line STUDY: expected an investigation file")
    return lines


def get(lines: Lines, label: str) -> list[str]:
    """Return the values of a line, cleaned; none if there is no such line."""
    return [clean(cell) for cell in lines[label].cells] if label in lines else []


def get_first(lines: Lines, *labels: str) -> str:
    """Return the first value that one of some lines has, empty without one."""
    return next(filter(None, (v for one in labels for v in get(lines, one))), "")


def _read_named(folder: Path, lines: Lines, label: str) -> Iterator[Table]:
    """Yield the tables that a line names, each once."""
    where = lines[label].where if label in lines else str(folder)
    for name in dict.fromkeys(filter(None, get(lines, label))):
        there, missing = find_files(folder, [(name, where)])
        if missing:
            raise BadInput(f"{where}: {name} is not there: expected it in {folder}")
        yield read_table(Path(there[0]))


def list_named(tables: Iterable[Table]) -> Iterator[tuple[str, str]]:
    """Yield the files that assays name, each with its place."""
    for table in tables:
        chosen = [k for k, name in enumerate(table.header) if name.endswith(" File")]
        for row in table.rows:
            for k in chosen:
                if name := clean(row.cells[k]):
                    yield name, row.where


def describe(lines: Lines) -> About:
    """Return what is told of a study."""
    affiliation = get_first(lines, "Study Person Affiliation")
    emails = (mail.split(";")[0].strip() for mail in get(lines, "Study Person Email"))
    words = dict.fromkeys(filter(None, get(lines, "Study Design Type")))
    return About(
        title=get_first(lines, "Study Title", "Investigation Title") or None,
        description=get_first(lines, "Study Description") or None,
        publisher=(_get_repository(lines) or affiliation) or None,
        license=get_first(lines, "Comment[License]", "Comment [License]") or None,
        keywords=tuple(words) or None,
        contact=next(filter(None, emails), None),
    )


def _get_repository(lines: Lines) -> str:
    name = get_first(lines, "Study Identifier")
    return REPOSITORIES[METABOLIGHTS].name if is_of(METABOLIGHTS, name) else ""


def read_facts(
    lines: Lines, samples: list[Table], assays: list[Table]
) -> dict[str, str]:
    """Return the facts of a study."""
    tables = [*samples, *assays]
    name = get_first(lines, "Study Identifier")
    known = Identifier(METABOLIGHTS, name) if is_of(METABOLIGHTS, name) else None
    names = {one for table in samples for one in table.get("Sample Name") if one}
    facts = {
        "identifier": str(known or ""),
        "record": known.page if known else "",
        "study": "" if known else name,
        "samples": str(len(names) or ""),
        "assays": str(len(assays) or ""),
        "technology": join(get(lines, "Study Assay Technology Type")),
        "factors": join(get(lines, "Study Factor Name")),
        "institution": get_first(lines, "Study Person Affiliation"),
        "doi": join(get(lines, "Study Publication DOI")),
        "released": get_first(lines, "Study Public Release Date"),
    }
    for fact, columns in CELLS.items():
        facts[fact] = join(v for table in tables for v in table.get(*columns))
    facts["polarity"] = facts["polarity"].lower()
    return keep(facts)
