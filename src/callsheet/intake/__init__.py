"""Intakes: Callsheet behind the queues that people already run."""
