"""What a run uses, seen while it runs: the agent of a node, and of a function."""
