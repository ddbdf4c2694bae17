"""A study from mwTab of Metabolomics Workbench, text or JSON; of one analysis or more.

Format: Fahy, mwTab file format specification 1.4 to 1.6, metabolomicsworkbench.org.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hpc_connector.catalogue.gather import About
from hpc_connector.catalogue.repositories.identifiers import (
    REPOSITORIES,
    WORKBENCH,
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
from hpc_connector.catalogue.repositories.tables import load_json, read_text
from hpc_connector.errors import BadInput

START = "METABOLOMICS WORKBENCH"
SAMPLES = "SUBJECT_SAMPLE_FACTORS"
RAW = "RAW_FILE_NAME"
SOURCES = ("tissue/fluid", "tissue", "organ", "sample source", "sample type")
Section = dict[str, str]
Sample = dict[str, Any]


class Analysis:
    """An analysis of a file: sections of text, samples, and lines of its tables."""

    def __init__(self) -> None:
        self.sections: dict[str, Section] = {}
        self.samples: list[Sample] = []
        self.n_metabolites = 0

    def add(self, section: str, name: str, value: str) -> None:
        """Add a value; one on several lines is joined, as the format has it."""
        found = self.sections.setdefault(section, {})
        found[name] = f"{found[name]} {value}" if name in found else value

    def get(self, section: str, *names: str) -> str:
        """Return the first value that is told, empty without one."""
        values = (clean(self.sections.get(section, {}).get(name, "")) for name in names)
        return next(filter(None, values), "")


def read_mwtab(path: Path) -> Study:
    """Return the study of a file.

    Raises
    ------
    BadInput
        It cannot be read; the message has the line.
    """
    text = read_text(path)
    is_json = text.lstrip().startswith(("{", "["))
    analyses = (read_json if is_json else read_lines)(text, path)
    names = {one.get(START, "STUDY_ID") for one in analyses} - {""}
    if len(names) > 1:
        raise BadInput(f"{path}: {len(names)} studies: expected one a file")
    named = ((name, str(path)) for name in list_named(analyses))
    there, missing = find_files(path.parent, named)
    files = [str(path.absolute()), *there]
    return Study(describe(analyses), read_facts(analyses), files, missing)


# Text


def read_lines(text: str, path: Path) -> list[Analysis]:
    """Return the analyses of a file of text.

    Raises
    ------
    BadInput
        A line that is none of the format.
    """
    found: list[Analysis] = []
    section, table = "", ""
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{path}, line {number}"
        if line.startswith(f"#{START}"):
            found.append(Analysis())
            section = START
            for name, value in re.findall(r"(\w+):(\S+)", line):
                found[-1].add(START, name, value)
        elif not found and line.strip():
            raise BadInput(f"{where}: expected #{START} first")
        elif table:
            table = _read_table_line(found[-1], table, line)
        elif line.rstrip().endswith("_START"):
            table = line.strip().removesuffix("_START")
        elif line.startswith("#"):
            section = line[1:].partition(":")[0].strip()
        elif line.startswith(SAMPLES):
            found[-1].samples.append(_read_sample(line, where))
        elif line.strip():
            _read_item(found[-1], section, line, where)
    if not found:
        raise BadInput(f"{path} is empty: expected mwTab, text or JSON")
    if table:
        raise BadInput(f"{path}: it ends within {table}: expected {table}_END")
    return found


def _read_table_line(analysis: Analysis, table: str, line: str) -> str:
    """Count a line of a table; return the table that goes on, empty at its end."""
    if line.rstrip().endswith("_END"):
        return ""
    name = line.partition("\t")[0].strip().strip('"')
    is_header = name.lower() in (
        "samples",
        "factors",
        "metabolite_name",
        "bin range(ppm)",
    )
    is_data = table.endswith("_DATA") and not table.startswith("EXTENDED")
    analysis.n_metabolites += bool(name) and is_data and not is_header
    return table


def _read_item(analysis: Analysis, section: str, line: str, where: str) -> None:
    """Read ``PR:NAME`` or ``NAME``, a tab, and a value."""
    name, tab, value = line.partition("\t")
    if not tab:
        raise BadInput(f"{where}: expected a name, a tab and a value")
    analysis.add(section, name.rpartition(":")[2].strip(), value.strip())


def _read_sample(line: str, where: str) -> Sample:
    """Return a sample: subject, sample, factors, and more that is told."""
    cells = [cell.strip() for cell in line.split("\t")]
    if len(cells) < 4:
        raise BadInput(
            f"{where}: {len(cells)} fields: expected subject, sample, factors"
        )
    return {
        "Sample ID": cells[2],
        "Factors": dict(_split(cells[3], "|", ":")),
        "Additional sample data": dict(_split("; ".join(cells[4:]), ";", "=")),
    }


def _split(text: str, between: str, within: str) -> Iterator[tuple[str, str]]:
    """Yield pairs; what has no name belongs to the value before.

    Examples
    --------
    >>> dict(_split("Diet:high fat | Time:8:00", "|", ":"))
    {'Diet': 'high fat', 'Time': '8:00'}
    >>> dict(_split("RAW_FILE_NAME=a.raw; b.raw; Batch=1", ";", "="))
    {'RAW_FILE_NAME': 'a.raw;b.raw', 'Batch': '1'}
    """
    name, values = "", list[str]()
    for part in text.split(between):
        before, mark, after = part.partition(within)
        if mark:
            if name:
                yield name, between.join(values)
            name, values = before.strip(), [after.strip()]
        else:
            values.append(part.strip())
    if name:
        yield name, between.join(values)


# JSON


def read_json(text: str, path: Path) -> list[Analysis]:
    """Return the analyses of a file of JSON: an object each, or an object of those.

    Raises
    ------
    BadInput
        It is none.
    """
    told = load_json(text, str(path))
    if isinstance(told, dict) and START not in told:
        told = list(told.values())
    every = told if isinstance(told, list) else [told]
    if not every or not all(isinstance(one, dict) and START in one for one in every):
        raise BadInput(f'{path}: expected mwTab, an object with "{START}"')
    return [_convert(one, path) for one in every]


def _convert(told: dict[str, Any], path: Path) -> Analysis:
    found = Analysis()
    for section, items in told.items():
        for name, value in items.items() if isinstance(items, dict) else ():
            if isinstance(value, str):
                found.add(section, name, value)
        if section.endswith("_DATA") and isinstance(items, dict):
            rows = items.get("Data")
            found.n_metabolites += len(rows) if isinstance(rows, list) else 0
    samples = told.get(SAMPLES) or []
    if not isinstance(samples, list) or not all(isinstance(s, dict) for s in samples):
        raise BadInput(f"{path}: {SAMPLES}: expected a list of objects")
    found.samples = samples
    return found


# What they tell


def _get_pairs(sample: Sample, name: str) -> Section:
    pairs = sample.get(name)
    return {k: str(v) for k, v in pairs.items()} if isinstance(pairs, dict) else {}


def list_named(analyses: Sequence[Analysis]) -> Iterator[str]:
    """Yield the names of files that are named: raw files of samples, and results."""
    for one in analyses:
        for sample in one.samples:
            raw = _get_pairs(sample, "Additional sample data").get(RAW, "")
            yield from filter(None, map(clean, re.split("[;,|]", raw)))
        for section in one.sections.values():
            for name, value in section.items():
                if name.endswith("RESULTS_FILE") and clean(value):
                    yield value.split()[0]


def describe(analyses: Sequence[Analysis]) -> About:
    """Return what is told of a study."""
    first = analyses[0]
    is_known = is_of(WORKBENCH, first.get(START, "STUDY_ID"))
    name = REPOSITORIES[WORKBENCH].name if is_known else _get_institute(first)
    kind = first.get("STUDY", "STUDY_TYPE") or first.get("PROJECT", "PROJECT_TYPE")
    title = first.get("STUDY", "STUDY_TITLE") or first.get("PROJECT", "PROJECT_TITLE")
    summary = first.get("STUDY", "STUDY_SUMMARY")
    contact = first.get("STUDY", "EMAIL") or first.get("PROJECT", "EMAIL")
    return About(
        title=title or None,
        description=summary or first.get("PROJECT", "PROJECT_SUMMARY") or None,
        publisher=name or None,
        keywords=(kind,) if kind else None,
        contact=contact or None,
    )


def _get_institute(one: Analysis) -> str:
    return one.get("STUDY", "INSTITUTE") or one.get("PROJECT", "INSTITUTE")


def read_facts(analyses: Sequence[Analysis]) -> dict[str, str]:
    """Return the facts of a study; of several analyses what any of them says."""
    first = analyses[0]
    study = first.get(START, "STUDY_ID")
    known = Identifier(WORKBENCH, study) if is_of(WORKBENCH, study) else None
    samples = [sample for one in analyses for sample in one.samples]

    def tell(section: str, *names: str) -> str:
        return join(one.get(section, *names) for one in analyses)

    names = {str(sample.get("Sample ID", "")) for sample in samples} - {""}
    factors = (name for one in samples for name in _get_pairs(one, "Factors"))
    return keep({
        "identifier": str(known or ""),
        "record": known.page if known else "",
        "analysis": tell(START, "ANALYSIS_ID"),
        "project": tell(START, "PROJECT_ID"),
        "organism": tell("SUBJECT", "SUBJECT_SPECIES"),
        "taxonomy": tell("SUBJECT", "TAXONOMY_ID"),
        "organism_part": tell("COLLECTION", "SAMPLE_TYPE") or _list_sources(samples),
        "polarity": tell("MS", "ION_MODE").lower(),
        "instrument": tell("MS", "INSTRUMENT_NAME") or tell("NM", "INSTRUMENT_NAME"),
        "ion_source": tell("MS", "MS_TYPE", "IONIZATION"),
        "technology": tell("ANALYSIS", "ANALYSIS_TYPE"),
        "samples": str(len(names) or ""),
        "metabolites": str(sum(one.n_metabolites for one in analyses) or ""),
        "factors": join(factors),
        "institution": _get_institute(first),
        "doi": tell("PROJECT", "DOI"),
        "released": tell(START, "CREATED_ON"),
    })  # fmt: skip


def _list_sources(samples: Sequence[Sample]) -> str:
    """Return of what the samples are, by their factors."""
    pairs = [pair for one in samples for pair in _get_pairs(one, "Factors").items()]
    return join(value for name, value in pairs if name.lower() in SOURCES)
