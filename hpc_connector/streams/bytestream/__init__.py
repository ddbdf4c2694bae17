"""Streams in byte streams of Pravega."""
