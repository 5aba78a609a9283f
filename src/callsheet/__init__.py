"""Callsheet."""
