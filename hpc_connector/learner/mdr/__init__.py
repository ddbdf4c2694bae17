"""Multifactor dimensionality reduction: arrays of genotypes to scores of models."""
