"""PLINK 2: .pgen, .pvar and .psam."""
