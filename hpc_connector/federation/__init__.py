"""Searches over sites that share no genotypes, by masked sums of their counts."""
