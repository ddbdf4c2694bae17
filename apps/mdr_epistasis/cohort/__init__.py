"""The cohort of a search: who, which variants, and their genotypes, packed."""
