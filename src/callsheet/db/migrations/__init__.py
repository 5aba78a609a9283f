"""Schema migrations."""

HEAD = "0001_initial"
"""The newest revision. Servers and workers refuse a database at another one."""
