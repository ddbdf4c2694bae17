"""Tasks that run in functions of a cloud, while the ranks run the others."""
