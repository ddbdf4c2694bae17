"""The hub of sites apart: it adds up their masked blocks, over HTTPS."""
