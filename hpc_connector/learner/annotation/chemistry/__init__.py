"""What is done with all formulas of databases at a time, as tables of numbers."""
