"""One file a format, and what reads blocks for them."""
