"""A sample provider for Callsheet."""
