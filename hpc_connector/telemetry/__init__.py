"""Telemetry of a run: an agent on each node, and what its rows come to."""
