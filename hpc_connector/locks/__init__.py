"""What one process at a time may do: run in a folder, write a segment of a stream."""
