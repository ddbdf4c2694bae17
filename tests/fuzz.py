"""Change real files in many ways: every reader gives data or one line of bad input.

    python tests/fuzz.py [INPUTS] [--seed N] [--only NAME]

Not a part of the suite: some minutes for 100,000 inputs on two cores. Small files of
every kind are cut, and bytes, words and lines of them changed, doubled, dropped and
swapped. A reader that raises anything but BadInput, or takes more than 20 seconds, is
shown with the seed of its input, and the exit code is 1.
"""

import argparse
import contextlib
import multiprocessing
import os
import re
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from formats import make_cohort
from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.formulas import read_formula
from hpc_connector.learner.annotation.ions import make_ions
from hpc_connector.loader.genotypes.companions import read_people
from hpc_connector.loader.genotypes.sample_file import ReadOptions, SampleFile
from hpc_connector.loader.genotypes.samples import inspect_sample, read_sample
from hpc_connector.loader.individuals import find_labels
from hpc_connector.loader.labels import convert_labels, read_labels
from hpc_connector.loader.spectra.ibd import check_ibd, read_spectra
from hpc_connector.loader.spectra.imzml import read_imzml
from hpc_connector.loader.spectra.molecules import read_database
from hpc_connector.slices import CloudObject
from imzml import write_imzml
from mdr_epistasis.cohort.lists import read_list
from metabolite_annotation.inputs.acquisition import (
    Choice,
    choose_instrument,
    choose_polarity,
    choose_profiles,
)
from metabolite_annotation.inputs.adducts import make_chemistry, read_adducts
from metabolite_annotation.program import make_parser
from metabolite_annotation.spectra import read_peaks
from slice_objects import CASES
from test_loader_bgen import make_file, make_variant, pack
from test_loader_vcf import convert_to_bcf, make_record, make_text

LIMIT_S = 20
WORDS = (
    *(b"", b" ", b"\t", b"\n", b"\r\n", b"\r", b"\0", b"\xff\xfe", b"\xef\xbb\xbf"),
    *(b'"', b"'", b"<", b">", b"&amp;", b"&#0;", b"]]>", b"<!--", b"<?x?>", b"##"),
    *(b"-1", b"0", b"1e999", b"nan", b"inf", b"9" * 40, b".", b"./.", b"0|1|2", b"/"),
    *("\u2028".encode(), "\u00e4".encode("latin-1"), b"chr", b"\x1f\x8b\x08\x04", b","),
)
DOCTYPE = (
    '<!DOCTYPE mzML [<!ENTITY a "1"><!ENTITY b "&a;&a;">'
    '<!ATTLIST scan id CDATA "&b;">]>'
)


@dataclass(frozen=True)
class Corpus:
    """A file to change, what belongs beside it, and what reads it."""

    name: str
    path: Path
    read: Callable[[str], None]
    beside: tuple[Path, ...] = ()
    target: str = ""  # what is read where a file beside it is changed


def change(data: bytes, rng: np.random.Generator) -> bytes:
    """Return data with some changes, mostly one."""
    for _ in range(rng.geometric(0.6)):
        at, to = np.sort(rng.integers(0, len(data) + 1, 2)).tolist()
        word = WORDS[rng.integers(len(WORDS))]
        to = min(to, at + int(rng.integers(1, 64)))
        kind = rng.integers(7)
        if kind == 0:
            data = data[:at]
        elif kind == 1 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << rng.integers(8)]) + data[at + 1 :]
        elif kind == 2:
            data = data[:at] + word + data[at:]
        elif kind == 3:
            data = data[:at] + word + data[to:]
        elif kind == 4:
            data = data[:to] + data[at:to] + data[to:]
        elif kind == 5:
            data = data[:at] + data[to:]
        else:
            data = swap_lines(data, rng)
    return data


def swap_lines(data: bytes, rng: np.random.Generator) -> bytes:
    """Return data with two lines exchanged, and one of them twice."""
    lines = data.split(b"\n")
    a, b = rng.integers(0, len(lines), 2).tolist()
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join([*lines[: b + 1], *lines[b : b + 1 + int(rng.integers(2))]])


def read_genotypes(path: str) -> None:
    """Read all variants of a file."""
    for field in ("GT", "DS", "GP") if "odd" in path else ("GT",):
        options = ReadOptions(vcf_field=field, half_call="haploid")
        file = inspect_sample(path, options)
        for part in range(2):
            for block in read_sample(file, part, 2):
                assert block.genotypes.shape[1] == file.n_individuals
                assert set(np.unique(block.genotypes)) <= {-1, 0, 1, 2}


def read_phenotypes(path: str) -> None:
    """Read labels by names of columns, and by the individuals of genotypes."""
    ids = tuple(f"ind{k:02d}" for k in range(1, 13))
    for families in (None, tuple((f"f{name}", name) for name in ids)):
        file = SampleFile("a.vcf", "vcf", len(ids), ids, families=families)
        with contextlib.suppress(BadInput):
            assert set(find_labels(path, file).individuals or ()) <= set(ids)
    with contextlib.suppress(BadInput):
        read_people(path)
    with contextlib.suppress(BadInput):
        read_list(path)
    words = read_labels(path)[1]
    convert_labels(words, path)


def read_dataset(path: str) -> None:
    """Read the spectra of a dataset, and how it was acquired."""
    imzml = read_imzml(path)
    check_ibd(imzml, checksum=False)
    read_spectra(imzml, 0, len(imzml.x))
    given = ["run", path, "--database", "x", "--out", "x", "--profile", "centroid"]
    args = make_parser()[0].parse_args(given)
    choose_polarity(args, imzml, [])
    choose_instrument(args, imzml)
    picked, *_ = choose_profiles(args, imzml)
    read_peaks(imzml, picked, (0, len(imzml.x)))


def read_molecules(path: str) -> None:
    """Read a database, and make ions of its molecules."""
    database = read_database(path, read_formula, skip_bad_rows=True)
    formulas = database.get_formulas()
    adducts = database.name[:2]  # of anything
    given = ["run", "x", "--database", "x", "--out", "x", "--polarity", "positive"]
    args = make_parser()[0].parse_args([*given, f"--adducts={','.join(adducts)}"])
    polarity = Choice("positive", "--polarity")
    try:
        chemistry, _ = make_chemistry(args, read_adducts(args), polarity)
    except BadInput:
        args.adducts = ["+H"]
        chemistry, _ = make_chemistry(args, read_adducts(args), polarity)
    make_ions([formulas], chemistry)


def read_slices(case: str) -> Callable[[str], None]:
    """Return what indexes an object and reads its slices."""

    def read(path: str) -> None:
        found = CASES[case]
        co = CloudObject.from_path(found.find(), path).preprocess(force=True)
        for part in found.cut(co, 3):
            part.get()

    return read


def make_corpora(folder: Path) -> list[Corpus]:
    """Write a small file of every kind."""
    make_cohort(folder, "--variants 8 --individuals 12 --heritability 0.1 --maf 0.4")
    names = "a.vcf gzip.vcf.gz bgzip.vcf.gz a.bcf bed.bed bed.bim bed.fam 8.bgen "
    names += "16.bgen five.gen five.sample six.gen gzip.gen.gz bsc.gz table.tsv"
    reads = {"bed.bim": "bed.bed", "bed.fam": "bed.bed", "five.sample": "five.gen"}
    names += f" {make_odd(folder)}"
    found = []
    for name in names.split():
        path, target = folder / name, reads.get(name, "")
        stem = name.split(".")[0]
        beside = tuple(p for p in folder.glob(f"{stem}.*") if p != path)
        found.append(Corpus(name, path, read_genotypes, beside, target))
    for name in ("labels.tsv", "labels.sample", "bed.fam"):
        found.append(Corpus(f"labels {name}", folder / name, read_phenotypes))
    return [*found, *make_datasets(folder), *make_tables(folder), *make_objects(folder)]


def make_odd(folder: Path) -> str:
    """Write genotypes of odd ploidy, many alleles and dosages; return the names."""
    keys = "GT:DS:GP:HDS"
    calls = ["0/.:.:.", "1:0.98:0,1:0.98", "0/0/1:1:0,1,0:0,1", "1|1:2:0,0,1:1,1"]
    calls += ["0|1:1e+0:.:0.01,1", ".:.:.:.", "0/1"]
    lines = [make_record(*calls, keys=keys), make_record(*calls, name=".", keys=keys)]
    lines.append(make_record("0/2", "1/2", "2", "./1", ".", "0|0", "1/1", alt="C,G"))
    field = '##FORMAT=<ID=HDS,Number=.,Type=Float,Description="H">'
    text = make_text(lines, len(calls)).replace("#CHROM", f"{field}\n#CHROM", 1)
    (folder / "odd.vcf").write_text(text)
    convert_to_bcf(folder / "odd.vcf", folder / "odd_of.bcf")
    individuals = [(255, 0, 0, 0, 0), (0, 0, 255, 0, 0), (0, 255), (0,) * 9]
    body = struct.pack("<IHBB", 4, 3, 1, 3) + bytes([2, 0x82, 1, 3, 0, 8])
    body += pack([x for numbers in individuals for x in numbers], 8)
    variants = [make_variant(body, 1, k, ("A", "C", "G")) for k in range(2)]
    (folder / "three.bgen").write_bytes(make_file(variants, 4, 1))
    rows = [f"s {k}:{k}:A:G {k} A G 1e+00 0 0 NA NA NA\n" for k in range(1, 9)]
    (folder / "places.gen").write_text("".join(rows))
    (folder / "a.ped").write_text("f a 0 0 1 2 A G A A\nf b 0 0 2 1 A A 0 0\n")
    (folder / "a.tped").write_text("1 rs1 0 1000 A G A A\nX rs2 0.5 2000 G G 0 0\n")
    return "odd.vcf odd_of.bcf three.bgen places.gen a.ped a.tped"


def make_datasets(folder: Path) -> list[Corpus]:
    """Write small imzML datasets."""
    rng = np.random.default_rng(0)
    mz = np.sort(rng.uniform(100, 200, 5))
    spectra = [(x, y, mz, rng.uniform(1, 2, 5)) for x in (1, 2, 3) for y in (1, 2)]
    found = []
    for mode in ("processed", "continuous"):
        for is_zlib in (False, True):
            path = folder / f"{mode}_{is_zlib}.imzML"
            write_imzml(path, spectra, mode=mode, is_zlib=is_zlib, inline=is_zlib)
            ibd = path.with_suffix(".ibd")
            found.append(Corpus(f"imzML {path.stem}", path, read_dataset, (ibd,)))
            found.append(
                Corpus(f"ibd {path.stem}", ibd, read_dataset, (path,), path.name)
            )
    text = (folder / "processed_False.imzML").read_text()
    shutil.copy(folder / "processed_False.ibd", folder / "other.ibd")
    for name, data in {
        "utf-16": text.replace("ISO-8859-1", "utf-16").encode("utf-16"),
        "statements": put_statements(text).encode(),
        "prefix": put_prefix(text).encode(),
        "entities": (DOCTYPE + text.partition("?>")[2]).encode(),
    }.items():
        path = folder / name / "other.imzML"
        path.parent.mkdir()
        path.write_bytes(data)
        ibd = folder / "other.ibd"
        found.append(Corpus(f"imzML {name}", path, read_dataset, (ibd,)))
    return found


def put_statements(text: str) -> str:
    """Return a dataset that says at many places how it was acquired."""
    said = (
        '<cvParam accession="MS:1000512" name="filter string" value="FTMS + p ESI"/>'
        '<cvParam accession="MS:1000128" name="profile spectrum"/>'
        '<userParam name="polarity" value="positive"/>'
    )
    model = '<cvParam accession="MS:1001549" name="solariX 7T"/><analyzer/>'
    text = text.replace("</scan>", f"{said}</scan>").replace("MS:1000130", "")
    end = "</instrumentConfiguration>"
    return text.replace(end, model + end)


def put_prefix(text: str) -> str:
    """Return XML whose elements have a prefix."""
    for plain, prefixed in (("</", "</m:"), ("xmlns=", "xmlns:m=")):
        text = text.replace(plain, prefixed)
    return re.sub(r"<(\w)", r"<m:\1", text)


def make_tables(folder: Path) -> list[Corpus]:
    """Write a small table of molecules, in two ways."""
    rows = [("id", "name", "formula"), ("1", "glucose", "C6H12O6")]
    rows += [("2", "x, y", "CH4"), ("3", "heavy", "[13C]2H6O"), ("4", "a", "C10H16N5")]
    rows += [("5", "[M+H]+", "C6 H5 D7 O6"), ("6", "M-H2O+2Na-H", "(13)C6H12(OH)2")]
    found = []
    forms = {"a.tsv": ("\t", '"'), "b.csv": (",", '"'), "plain.tsv": ("\t", "")}
    for name, (mark, quote) in forms.items():
        path = folder / f"molecules_{name}"
        lines = [mark.join(f"{quote}{v}{quote}" for v in row) for row in rows]
        path.write_text("\n".join(lines) + "\n")
        found.append(Corpus(f"molecules {name}", path, read_molecules))
    return found


def make_objects(folder: Path) -> list[Corpus]:
    """Write an object of each format of slices, the large ones left out."""
    found = []
    for name in CASES:
        place = folder / "objects" / name.replace(" ", "_")
        place.mkdir(parents=True)
        path = CASES[name].write(place)
        if path.stat().st_size < 300_000:
            beside = tuple(p for p in place.iterdir() if p != path)
            found.append(Corpus(f"slices {name}", path, read_slices(name), beside))
    return found


def try_one(corpus: Corpus, seed: int, folder: Path) -> str:
    """Read one changed file; return what came of it."""
    rng = np.random.default_rng(seed)
    for path in corpus.beside:
        shutil.copy(path, folder)
    path = folder / corpus.path.name
    path.write_bytes(change(corpus.path.read_bytes(), rng))
    signal.alarm(LIMIT_S)
    try:
        corpus.read(str(folder / (corpus.target or path.name)))
    except BadInput as error:
        return "more than a line" if "\n" in str(error) else "bad input"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    finally:
        signal.alarm(0)
    return "read"


def stop(*_: object) -> None:
    """End a reader that hangs."""
    raise TimeoutError(f"no answer in {LIMIT_S} s")


def work(job: tuple[list[Corpus], int, int, int]) -> Counter:
    """Try every `step`-th seed from the first to the last."""
    corpora, first, last, step = job
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, stop)
    seen: Counter = Counter()
    root = Path(tempfile.mkdtemp(dir="/dev/shm"))
    for seed in range(first, last, step):
        folder = root / str(seed)
        folder.mkdir()
        corpus = corpora[seed % len(corpora)]
        outcome = try_one(corpus, seed, folder)
        seen[corpus.name, outcome] += 1
        if outcome not in ("read", "bad input"):
            print(f"{corpus.name}: seed {seed}: {outcome}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
    return seen


def main() -> int:
    """Try as many inputs as are asked for; return 1 if one was not answered well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", nargs="?", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="NAME")
    args = parser.parse_args()
    start_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        n = os.cpu_count() or 1
        jobs = [(k, args.seed + args.inputs) for k in range(args.seed, args.seed + n)]
        with multiprocessing.get_context("spawn").Pool(n) as pool:
            made = pool.map(run_job, [(place, args.only, *job, n) for job in jobs])
    seen = sum(made, Counter())
    names = sorted({name for name, _ in seen})
    for name in names:
        print(name, {what: n for (c, what), n in sorted(seen.items()) if c == name})
    faults = sum(n for (_, w), n in seen.items() if w not in ("read", "bad input"))
    took = f"{time.perf_counter() - start_s:.0f} s"
    print(f"{seen.total()} inputs of {len(names)} kinds, {faults} faults, {took}")
    return int(faults > 0)


def run_job(job: tuple[str, str, int, int, int]) -> Counter:
    """Try the seeds of one process, on corpora of its own."""
    place, only, first, last, step = job
    with tempfile.TemporaryDirectory(dir=place) as own:
        corpora = [c for c in make_corpora(Path(own)) if only in c.name]
        return work((corpora, first, last, step))


if __name__ == "__main__":
    sys.exit(main())
