"""Reads for the API, the console and the CLI."""
