"""Results to files: tables, HDF5 and the report."""
