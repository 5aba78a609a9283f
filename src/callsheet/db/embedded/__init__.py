"""Embedded PostgreSQL: initialize, start and stop a private server."""
