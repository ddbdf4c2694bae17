"""Spectra one by one, as an instrument acquires them: records of a stream."""
