"""Stores of VCF Zarr as bio2zarr lays them out, for the tests."""

import numpy as np
import zarr

ORDER = ("contig_id", "filter_id", "sample_id")


def write_store(path, genotypes, sites, individuals, *, zarr_format=3, chunk=10):
    """Write diploid calls of two alleles.

    Parameters
    ----------
    genotypes
        Copies of ALT, int8 (variants, individuals), -1 missing.
    sites
        Chromosome, position, id, REF and ALT of each variant.
    """
    chromosome, position, name, ref, alt = map(np.array, zip(*sites, strict=True))
    contigs = list(dict.fromkeys(chromosome.tolist()))
    calls = np.stack([genotypes == 2, genotypes >= 1], axis=2).astype(np.int8)
    calls[genotypes < 0] = -1
    arrays = {
        "contig_id": np.array(contigs),
        "filter_id": np.array(["PASS"]),
        "sample_id": np.array(individuals),
        "variant_contig": np.array([contigs.index(c) for c in chromosome], np.int8),
        "variant_position": position.astype(np.int32),
        "variant_id": name,
        "variant_allele": np.stack([ref, alt], axis=1),
        "variant_filter": np.ones((len(name), 1), bool),
        "call_genotype": calls,
    }
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    for key, values in arrays.items():
        if values.dtype.kind == "U":
            values = values.astype(np.dtypes.StringDType())
        size = len(values) if key in ORDER else chunk
        group.create_array(
            key, data=values, chunks=(min(size, len(values)), *values.shape[1:])
        )
    return str(path)
