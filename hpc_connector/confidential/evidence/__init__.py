"""Evidence of what runs where: measured code, quotes of TPMs and of enclaves."""
