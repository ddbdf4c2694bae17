"""Runs that are watched while they go on: rows as they come, and what they say."""
