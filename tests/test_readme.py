"""Each example of README and docs/, from the wheel, on small real data.

Tutorials are run line by line elsewhere (test_docs.py). An example that is new is run
as well, and fails if it cannot be: it needs a file of `folder`, or a line in
`ELSEWHERE`.
"""

import gzip
import re
import shlex
import shutil
from itertools import takewhile

import pytest

from wheel import ROOT

DATA = ROOT / "tests/data"
PAGES = [ROOT / "README.md"]
PAGES += [p for p in sorted(ROOT.glob("docs/**/*.md")) if "tutorials" not in p.parts]
OURS = r"(mdr-epistasis|metabolite-annotation|hpc-connector)"
NEEDS_EXTRA = "pip install"
COMMAND = re.compile(rf"(?!{OURS})[a-z]+(-[a-z]+)*")
STARTS = re.compile(rf"(mpirun -n [0-9]+ )?{OURS} ")
SUBSTITUTES = {  # what pages leave open, or has from a store
    r"mpirun -n \d+": "mpirun -n 2",
    r"s3://\w+/(chr22|Hipster)\.vcf\.\w+|\bURL\b": "chr22.vcf.gz",
    r"s3://tissues/liver\.imzML": "tissue.imzML",
    r" run \.\.\.": " run cohort.bed --out results",
    r"--permutations 1000": "--permutations 10",
    r"--nodes 4": "--nodes 2",
    r" doctor$": " doctor --launch mpirun",  # srun waits where a cluster is up
}
# What others show: jobs (test_cluster*.py), and what an extra is for, which is answered
# in one line where it is not installed
ELSEWHERE = {
    r"hpc-connector submit .*--grant ": "options",
    r"hpc-connector (status|cancel|logs) ": "options",
    r"hpc-connector submit .*--failed": "options",
    r"hpc-connector submit .*--check": "options",
    r"hpc-connector submit (?!.*--dry-run)": "dry run",
    r"hpc-connector (streams|actions|catalog) ": "options",
    r"hpc-connector telemetry follow ": "options",
    r"mdr-epistasis federate |metabolite-annotation follow ": "options",
    r"(catalog:\S|file:///scratch/| &$)": "options",
    r"--burst ": "extra",
    r"--export csv,anndata": "extra",
    r"--(optical|regions) ": "options",
    r"metabolite-annotation export ": "options",
    r"run cohort\.(pgen|vcz) ": "extra",
    r"metabolite-annotation simulate ": "extra",
    r"hpc-connector (keys|encrypt|decrypt|seal|keeper|scone|federate) ": "extra",
    r"--(key|encrypt-to) ": "options",
    r"metabolite-annotation databases convert ": "options",
    r"hpc-connector telemetry (train|forecast) ": "options",
    r"doctor --launch 'srun": "options",
}


def read_examples():
    """Return the commands of ours in each section of the pages, in their order."""
    found = {}
    for page in PAGES:
        text = page.read_text().replace("\\\n", "")
        name = f"{page.relative_to(ROOT)}"
        for section in re.split(r"^## ", text, flags=re.M):
            title = section.partition("\n")[0].lstrip("# ")
            commands = [c for line in list_lines(section) for c in read_command(line)]
            if commands:
                found[f"{name}: {title}"] = commands
    return found


def list_lines(text):
    """Return the lines of code for a shell: indented, or in a block of bash."""
    fenced = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    indented = re.findall(r"^    (\S.*)$", rest, re.M)
    return [*"".join(fenced).splitlines(), *indented]


def read_command(line):
    """Return the commands that a line holds: none, one, or some for a|b|c."""
    if not STARTS.match(line):
        return []
    return expand(re.sub(r"\s+", " ", re.sub(r"\s#.*", "", line)).strip())


def expand(command):
    """Return the commands that one with alternatives stands for: a|b|c."""
    choices = re.search(r"\w+(\|\w+)+", command)
    if not choices:
        return [command]
    names = choices[0].split("|")
    return [command.replace(choices[0], name) for name in names]


EXAMPLES = read_examples()
EXAMPLES_OF_README = [
    command
    for place, commands in EXAMPLES.items()
    if place.startswith("README.md")
    for command in commands
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with small data under the names that pages have."""
    place = tmp_path_factory.mktemp("readme")
    for path in (DATA / "bitepi_plink_100snps_2000").glob("bfile.*"):
        shutil.copy(path, place / f"cohort{path.suffix}")
    hipster = DATA / "hipster_1000genomes_vcf"
    shutil.copy(hipster / "Hipster.vcf.bgz", place / "chr22.vcf.gz")
    shutil.copy(hipster / "Hipster.tsv", place / "phenotypes.tsv")
    bsc = DATA / "bsc_simple_10x30x100"
    shutil.copytree(bsc / "samples", place / "samples")
    shutil.copy(bsc / "labels.sample", place / "labels.sample")
    for path in (DATA / "imzml").glob("Untreated_3_434_tiny.*"):
        shutil.copy(path, place / f"tissue{path.suffix}")
    with gzip.open(DATA / "databases/lipidmaps_2017-12-12-v2.tsv.gz") as stream:
        lines = stream.readlines()
    for name, some in {"hmdb": lines[1:400], "lipids": lines[400:800]}.items():
        (place / f"{name}.tsv").write_bytes(b"".join([lines[0], *some]))
    write_tables(place)
    write_stubs(place)
    (place / "tissues.txt").write_text("tissue.imzML\n")
    shutil.copy(ROOT / "slurm/mn5.env", place / "my.env")
    (place / "cloud.yaml").write_text("lithops: {backend: localhost}\n")
    return place


def write_tables(place):
    """Write traits, covariates, lists, sites and genes of the cohort."""
    rows = [line.split() for line in (place / "cohort.fam").read_text().splitlines()]
    traits, covariates = "FID IID bmi visits\n", "FID IID age sex PC1 PC2 PC3\n"
    for k, (fid, iid, *_) in enumerate(rows):
        traits += f"{fid} {iid} {20 + k * 37 % 101 / 10} {k * 7 % 5}\n"
        components = " ".join(f"{k * p % 97 / 97:.3f}" for p in (11, 23, 59))
        covariates += f"{fid} {iid} {40 + k * 13 % 31} {1 + k // 3 % 2} {components}\n"
    (place / "traits.tsv").write_text(traits)
    (place / "pcs.txt").write_text(covariates)
    names = [f"{fid} {iid}" for fid, iid, *_ in rows]
    (place / "europeans.txt").write_text("\n".join(names[:1500]))
    sites = [f"{name} site{k % 40}" for k, name in enumerate(names)]
    (place / "sites.txt").write_text("\n".join(sites))
    ids = [line.split()[1] for line in (place / "cohort.bim").read_text().splitlines()]
    genes = [f"GENE{k % 5} {name}" for k, name in enumerate(ids)]
    (place / "genes.txt").write_text("\n".join(genes))


def write_stubs(place):
    """Write names of a PLINK 2 file and of a store, which need an extra to be read."""
    (place / "cohort.pgen").write_bytes(b"l\x1b\x10")
    for name in ("psam", "pvar"):
        (place / f"cohort.{name}").write_text("")
    (place / "cohort.vcz").mkdir()
    (place / "cohort.vcz/.zgroup").write_text('{"zarr_format": 2}')


def get_way(command):
    """Return how an example is tried."""
    ways = [way for words, way in ELSEWHERE.items() if re.search(words, command)]
    return ways[0] if ways else "run"


def substitute(command):
    """Return an example with names of what is there, and small numbers."""
    for words, instead in SUBSTITUTES.items():
        command = re.sub(words, instead, command)
    return command


def check_options(installed, command):
    """Check that the help of a command knows each option of an example."""
    name, *words = shlex.split(command)
    said = installed(shlex.join([name, *takewhile(COMMAND.fullmatch, words), "--help"]))
    before = takewhile(lambda word: not re.match(OURS, word), words)
    options = [word for word in before if word.startswith("--")]
    assert said.returncode == 0
    assert [option for option in options if option not in said.stdout] == [], command


def try_example(installed, command, folder):
    """Run an example, or what of it can be run here."""
    way = get_way(command)
    if way == "options":
        check_options(installed, command)
        return
    if way == "dry run":
        command = command.replace(" submit ", " submit --dry-run ", 1)
    command = substitute(command)
    if way == "extra":
        command = re.sub(r" run (.*)--out \S+", r" run \1--out extra", command)
    if "submit" in command:
        command += " | bash -n"
    elif out := re.search(r"(?<!connector) run .*--out (\S+)", command):
        shutil.rmtree(folder / out[1], ignore_errors=True)
    done = installed(f"set -o pipefail; {command}", cwd=folder)
    if way == "extra":
        assert done.returncode == 2, command
        assert NEEDS_EXTRA in done.stderr.splitlines()[-1], (command, done.stderr)
    else:
        assert done.returncode == 0, (command, done.stderr)
    assert "Traceback" not in done.stderr, command


@pytest.mark.parametrize("section", EXAMPLES)
def test_pages__each_example_runs_from_the_wheel(installed, folder, section):
    if section.startswith("docs/howto/sizing.md"):  # what its first job would leave
        run = "mdr-epistasis run cohort.bed --out runs/first --telemetry"
        assert installed(run, cwd=folder).returncode == 0
    for command in EXAMPLES[section]:
        try_example(installed, command, folder)


def test_pages__examples_are_found():
    everything = [command for commands in EXAMPLES.values() for command in commands]
    assert len(everything) > 40
    for program in ("mdr-epistasis run", "metabolite-annotation run", "hpc-connector"):
        assert any(program in command for command in EXAMPLES_OF_README)
        assert any(program in command for command in everything)
    used = [
        words for words in SUBSTITUTES if any(re.search(words, c) for c in everything)
    ]
    assert used == list(SUBSTITUTES)
