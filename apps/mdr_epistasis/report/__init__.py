"""The page of an epistasis search: what it found, drawn and told."""
