"""Pages and pictures: what all have in common."""
