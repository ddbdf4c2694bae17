"""What belongs to a file, and what its header says: asked of the loaders."""

from collections.abc import Sequence

import numpy as np

from hpc_connector.loader.bgzf import read_lines
from hpc_connector.loader.files import exists, find_beside, get_size
from hpc_connector.loader.genotypes.companions import get_bed, get_pgen, list_companions
from hpc_connector.loader.genotypes.sample_file import ReadOptions, SampleFile
from hpc_connector.loader.genotypes.samples import get_format, inspect_sample
from hpc_connector.storage import address, key_ring
from hpc_connector.storage.address import Source
from hpc_connector.storage.objects import list_beside
from hpc_connector.storage.requests import look
from hpc_connector.storage.stores import NoSuchObject, NotAllowed

Member = tuple[str, str]  # role and name of an object
GENOTYPES = (".bed", ".bgen", ".pgen", ".gen", ".vcf", ".vcf.gz", ".vcf.bgz", ".bcf")
IMZML = ".imzml"
TABLES = (".tsv", ".csv", ".txt", ".tsv.gz", ".csv.gz", ".sdf", ".xml")
INDEXED = {".vcf.gz": (".tbi", ".csi"), ".vcf.bgz": (".tbi", ".csi"), ".bcf": (".csi",)}
ROLES = {  # of what stands beside, by its ending
    ".bim": "variants",
    ".pvar": "variants",
    ".fam": "individuals",
    ".psam": "individuals",
    ".sample": "individuals",
    ".samples": "individuals",
    ".tbi": "index",
    ".csi": "index",
    ".ibd": "spectra",
}
BESIDE = {  # for who cannot open what is encrypted, and so not ask the loaders
    ".bed": (".fam", ".bim"),
    ".pgen": (".psam", ".pvar", ".pvar.zst", ".pvar.gz"),
    ".bgen": (".sample", ".samples"),
    IMZML: (".ibd",),
}


def list_members(names: Sequence[str]) -> list[Member]:
    """Return the objects of a data set: those that are named, and what belongs to them.

    The first decides what the data set is. A table after genotypes has labels, and
    after a dataset of mass spectrometry it is a database.

    Raises
    ------
    BadInput
        What belongs to one is not there.
    """
    found: dict[str, str] = {}
    of_tables = "database" if _ends(names[0], (IMZML,)) else "labels"
    for name in names:
        if found and _ends(name, TABLES):
            found.setdefault(name, of_tables)
            continue
        for role, one in list_group(name):
            found.setdefault(one, role)
    return [(role, name) for name, role in found.items()]


def list_group(name: str) -> list[Member]:
    """Return a file and what belongs to it, each with its role."""
    if _ends(name, (IMZML,)):
        return [("metadata", name), *_list_beside_imzml(name)]
    ending = next((end for end in ROLES if _ends(name, (end,))), "")
    if ending:
        return [(ROLES[ending], name)]
    if not (_ends(name, GENOTYPES) or _is_prefix(name)):
        return [("other", name)]
    first, others = name, _list_beside(name)
    if can_open(name):
        kind = get_format(name)
        first = {"plink": get_bed, "pgen": get_pgen}.get(kind, str)(name)
        others = list_companions(name, ReadOptions())
    others += _list_indexes(first)
    return [("genotypes", first), *((get_role(one), one) for one in others)]


def get_role(name: str) -> str:
    """Return the role of what stands beside a file."""
    return next((role for end, role in ROLES.items() if end in _plain(name)), "other")


def guess_role(name: str) -> str:
    """Return the role of an object by its name alone."""
    if _ends(name, (IMZML,)):
        return "metadata"
    return "genotypes" if _ends(name, GENOTYPES) else get_role(name)


def _plain(name: str) -> str:
    return address.get_name(name).lower().rpartition("/")[2]


def _ends(name: str, endings: tuple[str, ...]) -> bool:
    return _plain(name).endswith(endings)


def _is_prefix(name: str) -> bool:
    """Return whether a name is that of a .bed or .pgen file without its ending."""
    if is_there(name):
        return False
    return any(is_there(address.beside(name, end)) for end in (".bed", ".pgen"))


def is_there(name: str) -> bool:
    """Return whether there is an object of a name; what is in it is not asked."""
    try:
        look(Source(name))
    except (NoSuchObject, NotAllowed):
        return False
    return True


def can_open(name: str) -> bool:
    """Return whether the loaders can read a file: it is plain, or there is a key."""
    return not address.is_encrypted(name) or key_ring.get_public() is not None


def _list_beside_imzml(name: str) -> list[Member]:
    if not can_open(name):
        return [("spectra", one) for one in _list_beside(name)]
    # needs numba to compile
    from hpc_connector.loader.spectra.imzml import find_ibd

    return [("spectra", find_ibd(name))]


def _list_beside(name: str) -> list[str]:
    """Return what may stand beside an encrypted file, and does."""
    ending = next((end for end in BESIDE if _ends(name, (end,))), "")
    pairs = [list_beside(name, one, without=ending) for one in BESIDE.get(ending, ())]
    found = [next(filter(is_there, names), "") for names in pairs]
    return [one for one in found if one]


def _list_indexes(name: str) -> list[str]:
    """Return the indexes beside a file that has some."""
    ending = next((end for end in INDEXED if _ends(name, (end,))), "")
    names = [find_beside(name, one) for one in INDEXED.get(ending, ())]
    return [one for one in names if exists(one)]


# Facts


def read_facts(members: Sequence[Member]) -> dict[str, str]:
    """Return what the headers of a data set say, as texts.

    Raises
    ------
    BadInput
        One cannot be read.
    """
    facts: dict[str, str] = {}
    for role, name in members:
        if not can_open(name):
            continue
        if role == "genotypes":
            add_facts(facts, read_genotypes(name))
        if role == "metadata":
            add_facts(facts, read_spectra(name))
    return facts


def add_facts(facts: dict[str, str], found: dict[str, str]) -> None:
    """Add what one of several files says; their variants and pixels are added up."""
    for name, value in found.items():
        if name in ("variants", "pixels") and name in facts:
            value = str(int(facts[name]) + int(value))
        facts[name] = value


def read_genotypes(name: str) -> dict[str, str]:
    """Return what the header of a genotype file says."""
    file = inspect_sample(name, ReadOptions())
    facts = {"individuals": str(file.n_individuals)}
    if (n_variants := count_variants(file)) is not None:
        facts["variants"] = str(n_variants)
    if _ends(name, (".vcf", ".vcf.gz")) and (build := find_build(name)):
        facts["build"] = build
    return facts


def count_variants(file: SampleFile) -> int | None:
    """Return the variants of a file whose header tells them; None for others."""
    if file.format == "plink":
        stride = -(-file.n_individuals // 4)
        return (get_size(get_bed(file.path)) - 3) // stride
    if file.format == "pgen":
        from hpc_connector.loader.genotypes.plink2.pgen import read_counts

        return read_counts(get_pgen(file.path))[0]
    if file.format == "bgen":
        from hpc_connector.loader.genotypes.bgen.header import read_header

        return read_header(file.path).n_variants
    return None


def find_build(name: str) -> str:
    """Return the build that the header of a VCF file names, nothing without one."""
    for line in read_lines(name):
        if not line.startswith(b"##"):
            return ""
        key, _, value = line[2:].partition(b"=")
        if key in (b"reference", b"assembly"):
            return value.decode("utf-8", "replace").rpartition("/")[2].strip()
        if key == b"contig" and b"assembly=" in value:
            rest = value.partition(b"assembly=")[2]
            return rest.split(b",")[0].strip(b'"<>').decode("utf-8", "replace")
    return ""


def read_spectra(name: str) -> dict[str, str]:
    """Return what the metadata of a dataset of mass spectrometry say."""
    # needs numba to compile
    from hpc_connector.loader.spectra.imzml import read_imzml

    imzml = read_imzml(name)
    facts = {"pixels": str(len(imzml.x)), "mode": imzml.mode}
    if imzml.polarity:
        facts["polarity"] = imzml.polarity
    if np.isfinite(imzml.lowest_mz).any() and np.isfinite(imzml.highest_mz).any():
        low, high = np.nanmin(imzml.lowest_mz), np.nanmax(imzml.highest_mz)
        facts["mz_range"] = f"{low:.4f}-{high:.4f}"
    return facts
