"""Nodes, ranks, memory and time for a run: by its cost, and by what runs took."""
