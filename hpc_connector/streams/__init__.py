"""Streams: records in the order they were appended, in files, NATS or Pravega."""
