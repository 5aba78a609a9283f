"""Metrics: their catalog, and what this process adds to their totals."""
