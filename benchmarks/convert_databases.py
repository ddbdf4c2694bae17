"""What converting what sources ship takes: CPU seconds, and the peak of memory.

    python benchmarks/convert_databases.py [FILE ...]

Files made up of the size asked for: XML like HMDB's (30 kB an entry), SDF like ChEBI's
(4 kB), and ChEBI's two flat files. Memory is that of the whole process, Python and
NumPy included; it does not grow with XML and SDF, and with flat files by the formulas
of `chemical_data.tsv`. Files given are converted as they are.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from cpu_time import get_children_s

SIZES = (20_000_000, 200_000_000)
DATA = Path(__file__).parents[1] / "tests/data/sources"
CONVERT = (
    "import resource, sys; from metabolite_annotation.program import main; "
    "code = main(['databases', 'convert', *sys.argv[1:]]); "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); "
    "sys.exit(code)"
)


def write_xml(path, n_bytes):
    """Write entries of HMDB, padded with synonyms as theirs are with more."""
    text = (DATA / "hmdb_metabolites.xml").read_text()
    head, entry = text.removesuffix("</hmdb>\n").split('hmdb.ca">\n')
    synonym = "    <synonym>another name of the metabolite</synonym>\n"
    entry = entry.replace("  <synonyms>\n", "  <synonyms>\n" + 500 * synonym)
    with open(path, "w") as stream:
        stream.write(head + 'hmdb.ca">\n')
        for _ in range(n_bytes // len(entry)):
            stream.write(entry)
        stream.write("</hmdb>\n")


def write_sdf(path, n_bytes):
    """Write records of ChEBI, with as many atoms as theirs have."""
    text = (DATA / "ChEBI_3stars.sdf").read_text()
    atom = "    0.0000    0.0000    0.0000 C   0  0\n"
    text = text.replace(atom, 90 * atom)
    with open(path, "w") as stream:
        for _ in range(n_bytes // len(text)):
            stream.write(text)


def write_flat(folder, n_bytes):
    """Write the two flat files of ChEBI, every compound of another number."""
    kinds = ("compounds.tsv", "chemical_data.tsv")
    heads = [(DATA / kind).read_text().split("\n")[0] for kind in kinds]
    compounds, data = (folder / kind for kind in kinds)
    with open(compounds, "w") as names, open(data, "w") as formulas:
        names.write(heads[0] + "\n")
        formulas.write(heads[1] + "\n")
        for k in range(n_bytes // 200):
            name = f"{k}\ta compound\t1\tChEBI\t\t\tCHEBI:{k}\t\ta compound\t3\t\t\n"
            names.write(name)
            formula = f"C{k % 90 + 1}H{k % 170 + 1}O{k % 13 + 1}"
            formulas.write(f"{k}\t{k}\t{formula}\t0\t18.0\t18.0\t1\t{k}\n")
    return [compounds, data]


def measure(name, paths, folder):
    """Print what converting takes."""
    before = get_children_s()
    command = [sys.executable, "-c", CONVERT, *map(str, paths), "--out"]
    command.append(str(folder / "out.tsv"))
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    n_bytes = sum(path.stat().st_size for path in paths)
    peak_bytes = 1024 * int(done.stderr.split()[-1])
    print(
        f"{name}, {n_bytes / 1e6:,.0f} MB: {get_children_s() - before:.1f} CPU s, "
        f"{peak_bytes / 1e6:,.0f} MB of memory; {done.stdout.splitlines()[0]}"
    )


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if sys.argv[1:]:
            measure("given", [Path(path) for path in sys.argv[1:]], folder)
            return
        for n_bytes in SIZES:
            for kind, write in (("xml", write_xml), ("sdf", write_sdf)):
                write(folder / f"x.{kind}", n_bytes)
                measure(kind, [folder / f"x.{kind}"], folder)
            measure("flat files", write_flat(folder, n_bytes), folder)


if __name__ == "__main__":
    main()
