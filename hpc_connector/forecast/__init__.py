"""What the next windows of a run will use, learnt from the telemetry of runs."""
