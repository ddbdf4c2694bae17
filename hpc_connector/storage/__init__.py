"""Objects in S3, behind HTTP or in a folder: their versions, and ranges of them."""
