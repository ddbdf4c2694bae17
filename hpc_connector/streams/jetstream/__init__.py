"""Streams in a server of NATS: its connection, and records as its messages."""
