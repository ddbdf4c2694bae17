"""Searches over sites that share no genotypes."""
