"""What jobs can do: one file an operation."""
