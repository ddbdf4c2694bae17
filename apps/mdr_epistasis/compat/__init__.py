"""``--compat``: runs whose files are those of another program."""
