"""``hpc-connector telemetry``: watch runs, and learn from what was seen."""
