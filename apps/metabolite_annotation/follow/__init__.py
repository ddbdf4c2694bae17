"""Annotation of a dataset while the instrument acquires it."""
