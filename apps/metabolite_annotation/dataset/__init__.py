"""What all ranks compute of a dataset as a whole, once its ions are annotated."""
