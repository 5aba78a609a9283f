"""Schema migrations."""

HEAD = "0015_resources"
"""The newest revision. Servers and workers refuse a database at another one."""
