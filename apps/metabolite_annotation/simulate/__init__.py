"""``metabolite-annotation simulate``: imaging datasets with a known answer."""
