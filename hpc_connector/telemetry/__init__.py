"""Telemetry: what runs use, and what the next will need."""
