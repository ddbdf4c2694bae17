"""The reference sequence, from a FASTA file with its index."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc_connector.errors import BadInput
from hpc_connector.loader.genotypes.chromosomes import normalise_all

OTHER = re.compile("[^ACGT]")
ENDINGS = (".gz", ".bgz")  # of bgzip, which has an index of its own


@dataclass(frozen=True)
class Fasta:
    """The bases of a reference sequence.

    Parameters
    ----------
    file
        A ``pysam.FastaFile``.
    names
        Of its contigs, by those that chromosomes are compared by.
    """

    file: Any
    names: Mapping[str, str]

    def fetch(self, chromosome: str, first: int, last: int) -> str | None:
        """Return bases `first` to `last` in capitals, what is none of ACGT as N.

        Parameters
        ----------
        chromosome
            As ``chromosomes.normalise`` has it.
        first, last
            From 1 on; what lies beyond either end is left out.

        Returns
        -------
        None where the file has no such chromosome.
        """
        if (name := self.names.get(chromosome)) is None:
            return None
        start = max(first - 1, 0)
        found = self.file.fetch(name, start, max(last, start))
        return OTHER.sub("N", found.upper())

    def get_length(self, chromosome: str) -> int | None:
        """Return the bases of a chromosome; None where the file has no such."""
        name = self.names.get(chromosome)
        return None if name is None else int(self.file.get_reference_length(name))


def open_fasta(path: str) -> Fasta:
    """Open a FASTA file, as it is or compressed by bgzip.

    Contigs that are compared by one name, such as chrM and MT, are none of them used.

    Raises
    ------
    BadInput
        It cannot be read, or has no index beside it. None is made here: several
        processes may read the file at once.
    """
    import pysam

    ends = [".fai", ".gzi"] if path.endswith(ENDINGS) else [".fai"]
    for beside in (path, *(f"{path}{end}" for end in ends)):
        if not Path(beside).is_file():
            said = f" and {beside} (samtools faidx {path})" if beside != path else ""
            raise BadInput(f"{path}: expected a FASTA file{said}")
    try:
        file = pysam.FastaFile(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: expected a FASTA file: {error}") from None
    compared = normalise_all(file.references)
    counts = Counter(compared.values())
    names = {name: c for c, name in compared.items() if name and counts[name] == 1}
    return Fasta(file, names)
