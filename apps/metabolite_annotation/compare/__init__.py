"""``metabolite-annotation compare``: annotations of several runs side by side."""
