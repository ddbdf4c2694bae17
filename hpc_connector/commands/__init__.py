"""The commands of ``hpc-connector``: words into values, and what is printed."""
