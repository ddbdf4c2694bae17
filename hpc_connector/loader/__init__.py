"""Bytes to arrays: genotype and phenotype files."""
