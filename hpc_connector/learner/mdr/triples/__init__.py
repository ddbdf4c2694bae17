"""The search of triples with folds, and their permutations, without scoring most."""
