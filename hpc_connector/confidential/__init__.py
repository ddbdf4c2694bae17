"""Confidential data: keys, and files that only their readers can open."""
