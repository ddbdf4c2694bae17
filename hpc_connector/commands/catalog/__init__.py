"""``hpc-connector catalog``: which data sets there are, and who may use them."""
