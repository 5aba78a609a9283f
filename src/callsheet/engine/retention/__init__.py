"""Deletion of ended executions, with their files, on request and by rules."""
