"""Queues: claims and lanes."""
