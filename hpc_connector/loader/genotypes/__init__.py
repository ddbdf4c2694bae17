"""Genotypes and who they are of, in every format."""
