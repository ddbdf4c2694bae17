"""The results of a run for other programs, each form made from results.h5 alone."""
