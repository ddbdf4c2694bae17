"""Genotypes as text: IMPUTE's .gen and BSC's."""
