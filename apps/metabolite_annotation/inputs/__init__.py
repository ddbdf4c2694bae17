"""What a run is given: files, and what they and the options decide."""
