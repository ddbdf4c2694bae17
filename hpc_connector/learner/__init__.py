"""Arrays to arrays: multifactor dimensionality reduction."""
