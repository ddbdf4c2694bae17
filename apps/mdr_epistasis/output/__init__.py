"""What a search leaves: its result, its files, and what is said of both."""
