"""Helpers of Callsheet's own tests: worker processes, crash injection and a TCP proxy."""
