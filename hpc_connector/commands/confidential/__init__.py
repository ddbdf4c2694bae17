"""Commands of confidential data: keys, encrypted files, seals."""
