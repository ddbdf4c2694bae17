"""Telemetry of a run: an agent on each node, and what is learnt from its rows."""
