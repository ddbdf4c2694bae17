"""A run of metabolite-annotation as ISA-Tab for MetaboLights: i_, s_, a_ and m_ files.

What the run knows is filled in; the rest is empty, and said to be so.
"""

import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from hpc_connector.catalogue.headers import IMZML
from hpc_connector.catalogue.repositories.maf import (
    COLUMNS,
    Made,
    format_rows,
    make_rows,
    read_annotations,
)
from hpc_connector.errors import BadInput
from hpc_connector.manifest import read_manifest
from hpc_connector.publish import make_partial
from hpc_connector.run_record import RunRecord
from hpc_connector.storage import address

Facts = Mapping[str, str]
TERM = ("Term Source REF", "Term Accession Number")
NCBI = "NCBITAXON"
PROTOCOLS = {  # of imaging mass spectrometry, with their parameters, as MetaboLights'
    "Sample collection": (),
    "Preparation": (
        *("Sample mounting", "Sample preservation", "Tissue modification"),
        *("Sectioning instrument", "Section thickness", "Matrix", "Matrix application"),
    ),
    "Mass spectrometry": (
        *("Scan polarity", "Scan m/z range", "Instrument", "Instrument manufacturer"),
        *("Ion source", "Mass analyzer", "Solvent", "Target material"),
        *("Spatial resolution", "Pixel size x", "Pixel size y"),
        *("Max count of pixel x", "Max count of pixel y", "Resolving power"),
        *("Resolving power m/z", "Line scan direction", "Scan pattern", "Scan type"),
    ),
    "Data transformation": (
        "Data Transformation software",
        "Data Transformation software version",
    ),
    "Metabolite identification": (),
}
NODES = {  # columns behind those of a protocol
    "Preparation": ("Extract Name",),
    "Mass spectrometry": ("MS Assay Name", "Raw Spectral Data File"),
    "Data transformation": ("Derived Spectral Data File",),
    "Metabolite identification": ("Metabolite Assignment File",),
}
PERSON = (
    *("Last Name", "First Name", "Mid Initials", "Email", "Phone", "Fax", "Address"),
    *("Affiliation", "Roles", "Roles Term Accession Number", "Roles Term Source REF"),
)
PAPER = (
    *("PubMed ID", "Publication DOI", "Publication Author List", "Publication Title"),
    *("Publication Status", "Publication Status Term Accession Number"),
    "Publication Status Term Source REF",
)
OBI = "http://purl.obolibrary.org/obo/OBI_"


class Words(NamedTuple):
    """What a study is called and what it is, empty where it is not known."""

    title: str = ""
    description: str = ""


NONE = Words()


class Submission(NamedTuple):
    """What was written: files, annotations, and what is left to fill in."""

    files: list[str]
    annotations: int
    left_out: int
    empty: list[str]


def save_submission(
    run: Path, out: Path, *, study: str, fdr: float, facts: Facts, words: Words = NONE
) -> Submission:
    """Write the files of a run to a new folder.

    Parameters
    ----------
    study
        Identifier, which is part of the files' names.
    fdr
        Most of the rate of annotations.
    facts, words
        Of the data set of the run, as far as a catalogue knows it.

    Raises
    ------
    BadInput
        The run is not done, or not of annotations; the folder is there.
    """
    record = read_manifest(run)
    search = record.get("search")
    if record.get("status") != "done" or not search or "polarity" not in search:
        raise BadInput(f"{run}: expected a run of annotations, done and not encrypted")
    if out.exists():
        raise BadInput(f"{out} is there: expected a new folder")
    polarity = str(search["polarity"])
    sample = str(record["dataset"]["name"])
    found = make_rows(
        read_annotations(run),
        polarity=polarity,
        engine=f"{record['program']} {record['version']}",
        fdr=fdr,
        species=facts.get("organism", ""),
    )
    if not found.rows:
        raise BadInput(
            f"{run}: no annotation at an FDR of {fdr:g}: expected one or more"
        )
    known = get_parameters(record, facts)
    tables = make_tables(study, sample, list_data(record), polarity, known, facts)
    tables |= {name_maf(study, polarity): [[*COLUMNS, sample], *found.rows]}
    lines = make_investigation(study, list(tables), words)
    out.parent.mkdir(parents=True, exist_ok=True)
    with make_partial(out) as folder:
        (folder / "all").mkdir()
        for name, rows in {"i_Investigation.txt": lines, **tables}.items():
            text = "".join(format_rows(rows))
            (folder / "all" / name).write_text(text, "utf-8", newline="\n")
        (folder / "all").replace(out)
    return tell(["i_Investigation.txt", *tables], found, known, facts, words)


def name_assay(study: str, polarity: str) -> str:
    """Return the name of the assay file, in MetaboLights' way, without its ending."""
    return f"a_{study}_MSImaging_{polarity}__metabolite_profiling"


def name_maf(study: str, polarity: str) -> str:
    """Return the name of the file of annotations."""
    return f"m_{name_assay(study, polarity)[2:]}_v2_maf.tsv"


def list_data(record: RunRecord) -> tuple[str, str]:
    """Return the names of the .ibd and the imzML file, empty for a stream's."""
    names = [
        posixpath.basename(address.cut_query(one["path"])) for one in record["inputs"]
    ]
    raw, derived = (
        next((n for n in names if n.lower().endswith(end)), "")
        for end in (".ibd", IMZML)
    )
    return raw and f"FILES/{raw}", derived and f"FILES/{derived}"


def get_parameters(record: RunRecord, facts: Facts) -> dict[str, str]:
    """Return the parameters of protocols that a run, or its data set, knows.

    What was assumed is not: it may be wrong.
    """
    data, search = record["dataset"], record["search"]
    scan = data.get("scan", {})
    sizes = [f"{float(one):g}" for one in data.get("pixel_size_um") or ()]
    is_told = search.get("instrument_from") not in (None, "assumed")
    mz = [f"{float(one):.4f}" for one in data.get("mz_range") or ()]
    found = {
        "Scan polarity": search["polarity"],
        "Scan m/z range": "-".join(mz),
        "Instrument": facts.get("instrument", ""),
        "Ion source": facts.get("ion_source", ""),
        "Mass analyzer": facts.get("mass_analyzer")
        or (search["instrument"] if is_told else ""),
        "Matrix": facts.get("matrix", ""),
        "Spatial resolution": sizes[0] if sizes else "",
        "Pixel size x": sizes[0] if sizes else "",
        "Pixel size y": sizes[-1] if sizes else "",
        "Max count of pixel x": str(data.get("width", "")),
        "Max count of pixel y": str(data.get("height", "")),
        "Line scan direction": scan.get("line_scan_direction", ""),
        "Scan pattern": scan.get("scan_pattern", ""),
        "Scan type": scan.get("scan_type", ""),
        "Data Transformation software": record["program"],
        "Data Transformation software version": record["version"],
    }
    return {name: str(value) for name, value in found.items() if value}


def make_tables(
    study: str,
    sample: str,
    files: tuple[str, str],
    polarity: str,
    known: Mapping[str, str],
    facts: Facts,
) -> dict[str, list[list[str]]]:
    """Return the tables of samples and of the assay, by the names of their files."""
    samples = [
        ("Source Name", sample),
        ("Characteristics[Organism]", facts.get("organism", "")),
        *((name, "") for name in TERM),
        ("Characteristics[Organism part]", facts.get("organism_part", "")),
        *((name, "") for name in TERM),
        ("Protocol REF", "Sample collection"),
        ("Sample Name", sample),
    ]
    own = {
        "Extract Name": sample,
        "MS Assay Name": sample,
        "Raw Spectral Data File": files[0],
        "Derived Spectral Data File": files[1],
        "Metabolite Assignment File": name_maf(study, polarity),
    }
    assay = [("Sample Name", sample)]
    for protocol, nodes in NODES.items():
        assay.append(("Protocol REF", protocol))
        for name in PROTOCOLS[protocol]:
            assay.append((f"Parameter Value[{name}]", known.get(name, "")))
        assay += [(name, own.get(name, "")) for name in nodes]
    return {
        f"s_{study}.txt": [list(row) for row in zip(*samples, strict=True)],
        f"{name_assay(study, polarity)}.txt": [
            list(row) for row in zip(*assay, strict=True)
        ],
    }


def make_investigation(study: str, names: list[str], words: Words) -> list[list[str]]:
    """Return the lines of the investigation file, with all labels of the format."""
    samples, assay, _ = names
    none = [""] * len(PROTOCOLS)
    profiling, spectrometry = "metabolite profiling", "mass spectrometry"
    return [
        ["ONTOLOGY SOURCE REFERENCE"],
        ["Term Source Name", "OBI", NCBI],
        ["Term Source File", "http://purl.obolibrary.org/obo/obi.owl", ""],
        ["Term Source Version", "", ""],
        ["Term Source Description", "Ontology for Biomedical Investigations", "Taxa"],
        ["INVESTIGATION"],
        *_label("Investigation", ("Identifier", "Title", "Description"), study),
        *_label("Investigation", ("Submission Date", "Public Release Date")),
        ["INVESTIGATION PUBLICATIONS"],
        *_label("Investigation", PAPER),
        ["INVESTIGATION CONTACTS"],
        *_label("Investigation Person", PERSON),
        ["STUDY"],
        ["Study Identifier", study],
        ["Study Title", words.title],
        ["Study Description", words.description],
        *_label("Study", ("Submission Date", "Public Release Date")),
        ["Study File Name", samples],
        ["STUDY DESIGN DESCRIPTORS"],
        ["Study Design Type", "imaging mass spectrometry"],
        *_label("Study Design Type", TERM[::-1]),
        ["STUDY PUBLICATIONS"],
        *_label("Study", PAPER),
        ["STUDY FACTORS"],
        *_label("Study Factor", ("Name", "Type", *(f"Type {t}" for t in TERM[::-1]))),
        ["STUDY ASSAYS"],
        ["Study Assay File Name", assay],
        ["Study Assay Measurement Type", profiling],
        ["Study Assay Measurement Type Term Accession Number", f"{OBI}0000366"],
        ["Study Assay Measurement Type Term Source REF", "OBI"],
        ["Study Assay Technology Type", spectrometry],
        ["Study Assay Technology Type Term Accession Number", f"{OBI}0000470"],
        ["Study Assay Technology Type Term Source REF", "OBI"],
        ["Study Assay Technology Platform", "MS Imaging"],
        ["STUDY PROTOCOLS"],
        ["Study Protocol Name", *PROTOCOLS],
        ["Study Protocol Type", *PROTOCOLS],
        ["Study Protocol Type Term Accession Number", *none],
        ["Study Protocol Type Term Source REF", *none],
        ["Study Protocol Description", *none],
        ["Study Protocol URI", *none],
        ["Study Protocol Version", *none],
        ["Study Protocol Parameters Name", *map(";".join, PROTOCOLS.values())],
        *([f"Study Protocol Parameters Name {t}", *_blank()] for t in TERM[::-1]),
        ["Study Protocol Components Name", *none],
        ["Study Protocol Components Type", *none],
        *([f"Study Protocol Components Type {t}", *none] for t in TERM[::-1]),
        ["STUDY CONTACTS"],
        *_label("Study Person", PERSON),
    ]


def _label(begin: str, names: Iterable[str], first: str = "") -> list[list[str]]:
    """Return a line a name with one value, the first of them `first`, others empty."""
    return [[f"{begin} {name}", "" if n else first] for n, name in enumerate(names)]


def _blank() -> list[str]:
    """Return the empty terms of parameters, between semicolons."""
    return [";" * max(0, len(names) - 1) for names in PROTOCOLS.values()]


def tell(
    files: list[str], found: Made, known: Mapping[str, str], facts: Facts, words: Words
) -> Submission:
    """Return what was written, and what is left for people to fill in."""
    asked = {"Study Title": words.title, "Study Description": words.description}
    asked |= {"STUDY CONTACTS": ""}
    asked |= {"Study Protocol Description": "", "STUDY PUBLICATIONS": ""}
    asked |= {"Organism": facts.get("organism", "")}
    asked |= {"Organism part": facts.get("organism_part", "")}
    asked |= {name: known.get(name, "") for p in PROTOCOLS.values() for name in p}
    empty = [name for name, value in asked.items() if not value]
    return Submission(files, len(found.rows), found.left_out, empty)
