"""Tasks on ranks and threads, what they leave behind, and how they stop and go on."""
