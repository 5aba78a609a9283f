"""An embedded PostgreSQL: install, start and stop a private server."""
