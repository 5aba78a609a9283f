"""Operator controls of queues and workers."""
