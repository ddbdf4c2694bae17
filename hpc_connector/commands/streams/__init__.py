"""``hpc-connector streams``: records in order, in files, NATS or Pravega."""
