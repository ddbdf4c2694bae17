"""Exhaustive search for interacting variants by dimensionality reduction."""
