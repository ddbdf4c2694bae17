"""Cohorts in files of sites, and the same individuals in files of one cohort."""

from pathlib import Path

import numpy as np

CODES = np.array([1, 3, 2, 0])  # of a .bed file: missing, and 0, 1, 2 copies of A1


def save_bed(folder, name, genotypes, is_case, ids, variants):
    """Write genotypes of -1, 0, 1, 2 (variants, individuals) as PLINK 1 files.

    Parameters
    ----------
    variants
        Chromosome, id, position, counted and other allele of each.
    """
    n_variants, n = genotypes.shape
    codes = np.zeros((n_variants, -(-n // 4) * 4), np.uint8)
    codes[:, :n] = CODES[genotypes + 1]
    four = codes.reshape(n_variants, -1, 4)
    packed = (four << np.array([0, 2, 4, 6], np.uint8)).sum(axis=2).astype(np.uint8)
    path = Path(folder) / name
    path.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + packed.tobytes())
    rows = [f"{c}\t{v}\t0\t{p}\t{a}\t{b}\n" for c, v, p, a, b in variants]
    path.with_suffix(".bim").write_text("".join(rows))
    people = zip(ids, is_case, strict=True)
    rows = [
        f"{i}\t{i}\t0\t0\t{1 + k % 2}\t{c + 1}\n" for k, (i, c) in enumerate(people)
    ]
    path.with_suffix(".fam").write_text("".join(rows))


def save_study(folder, names, text=""):
    """Write the study of some sites, whose list is that of the pooled cohort."""
    sites = "".join(f'[[site]]\nname = "{name}"\n' for name in names)
    path = Path(folder) / "STUDY.toml"
    path.write_text(f"{text}{sites}")
    return path
