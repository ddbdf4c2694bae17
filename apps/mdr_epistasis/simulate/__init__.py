"""``mdr-epistasis simulate``: cohorts with a known answer."""
