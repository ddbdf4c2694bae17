"""Lithops: its executor, and its backends for Slurm and folders."""
