"""Annotation: formulas to ions, ions to patterns, patterns to scores and rates."""
