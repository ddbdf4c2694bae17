"""FDR-controlled annotation of metabolites in imaging mass spectrometry."""
