"""The page of what a run used."""
