"""Tasks in functions of a cloud, by Lithops, while the ranks run the others."""
