"""Slurm: what a site is like, a job as text, and what the accounting says of it."""
