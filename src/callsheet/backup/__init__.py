"""Backups of an installation with the embedded database: its database, files and signing key."""
