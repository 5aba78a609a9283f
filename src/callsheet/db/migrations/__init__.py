"""The way from any earlier schema to the present one."""

HEAD = "0001_initial"
"""The newest revision; a database at another one is not used."""
