#!/bin/sh
# isatools 0.14.3 drops a sample that is called NA, and a factor's level that is None
#
# In ISA-Tab a cell holds text, and an empty cell is what is missing. "NA" is a good name
# of a sample (noradrenaline, nucleus accumbens), and "None" the usual level of those who
# were not treated. isatab.load reads tables by pandas.read_csv with its usual list of
# what is missing ("NA", "None", "null", "n/a", "nan", ...), and fills these with nothing:
# the sample NA is not there at all, and the level None is empty, as of a sample whose
# treatment is not known. Nothing is said, and isatab.validate has no error.
#
# Until it is mended: other words, such as "untreated", or read the table again with
# pandas.read_csv(path, sep="\t", dtype=str, keep_default_na=False).
#
# Source: https://github.com/ISA-tools/isa-api, isatools/isatab/load/core.py; the format:
# https://isa-specs.readthedocs.io/en/latest/isatab.html
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet isatools==0.14.3 pandas==2.3.3 numpy==2.2.6 'setuptools<81' 2>/dev/null
cd "$place"
venv/bin/python -W ignore - <<'PYTHON'
import logging
import sys
from importlib.metadata import version
from pathlib import Path

logging.disable(logging.CRITICAL)
from isatools import isatab

PERSON = ["Last Name", "First Name", "Mid Initials", "Email", "Phone", "Fax", "Address"]
PERSON += ["Affiliation", "Roles", "Roles Term Accession Number", "Roles Term Source REF"]
PAPER = ["PubMed ID", "Publication DOI", "Publication Author List", "Publication Title"]
PAPER += ["Publication Status", "Publication Status Term Accession Number"]
PAPER += ["Publication Status Term Source REF"]
TERM = ["", " Term Accession Number", " Term Source REF"]
DATES = ["Submission Date", "Public Release Date"]
SECTIONS = {
    "ONTOLOGY SOURCE REFERENCE": [f"Term Source {n}" for n in ("Name", "File", "Version", "Description")],
    "INVESTIGATION": [f"Investigation {n}" for n in ("Identifier", "Title", "Description", *DATES)],
    "INVESTIGATION PUBLICATIONS": [f"Investigation {n}" for n in PAPER],
    "INVESTIGATION CONTACTS": [f"Investigation Person {n}" for n in PERSON],
    "STUDY": [f"Study {n}" for n in ("Identifier", "Title", "Description", *DATES, "File Name")],
    "STUDY DESIGN DESCRIPTORS": [f"Study Design Type{n}" for n in TERM],
    "STUDY PUBLICATIONS": [f"Study {n}" for n in PAPER],
    "STUDY FACTORS": ["Study Factor Name", *(f"Study Factor Type{n}" for n in TERM)],
    "STUDY ASSAYS": ["Study Assay File Name", *(f"Study Assay Measurement Type{n}" for n in TERM),
                     *(f"Study Assay Technology Type{n}" for n in TERM), "Study Assay Technology Platform"],
    "STUDY PROTOCOLS": ["Study Protocol Name", *(f"Study Protocol Type{n}" for n in TERM),
                        *(f"Study Protocol {n}" for n in ("Description", "URI", "Version")),
                        *(f"Study Protocol Parameters Name{n}" for n in TERM),
                        "Study Protocol Components Name",
                        *(f"Study Protocol Components Type{n}" for n in TERM)],
    "STUDY CONTACTS": [f"Study Person {n}" for n in PERSON],
}
VALUES = {
    "Study Identifier": "S1", "Study Title": "Rats", "Study Description": "Three rats.",
    "Study File Name": "s_rats.txt", "Study Factor Name": "Treatment",
    "Study Factor Type": "treatment", "Study Protocol Name": "collection",
    "Study Protocol Type": "sample collection",
}
lines = [line for name, labels in SECTIONS.items()
         for line in (name, *(f"{label}\t{VALUES.get(label, '')}" for label in labels))]
Path("i_Investigation.txt").write_text("\n".join(lines) + "\n")
header = "Source Name\tProtocol REF\tSample Name\tFactor Value[Treatment]"
told = {"rat 1": "noradrenaline", "rat 2": "None", "NA": "noradrenaline"}
rows = [f"{name}\tcollection\t{name}\t{level}" for name, level in told.items()]
Path("s_rats.txt").write_text("\n".join([header, *rows]) + "\n")

print("isatools", version("isatools"))
with open("i_Investigation.txt") as stream:
    errors = isatab.validate(stream)["errors"]
(study,) = isatab.load(".").studies
found = {s.name: [str(v.value) for v in s.factor_values] for s in study.samples}
print("written:", told, "\nread:   ", found, "\nerrors of validate:", errors)
is_as_said = (
    errors == [] and "NA" not in found and found["rat 1"] == ["noradrenaline"] and found["rat 2"] == [""]
)
sys.exit(0 if is_as_said else "isatools behaves otherwise now")
PYTHON
