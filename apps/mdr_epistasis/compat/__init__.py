"""What other programs write, line by line."""
