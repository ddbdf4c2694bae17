"""Encrypted objects: opened by their headers, read by ranges of their plaintext."""
