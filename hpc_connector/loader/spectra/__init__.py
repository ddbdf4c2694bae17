"""Imaging mass spectrometry: imzML, its .ibd file, and tables of molecules."""
