"""The search of pairs, by a kernel for each kind of tile."""
