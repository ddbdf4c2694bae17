"""Generalised MDR: residuals of a null model in place of cases and controls."""
