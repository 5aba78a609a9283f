"""Schema migrations."""

HEAD = "0016_clean_up"
"""The newest revision. Servers and workers refuse a database at another one."""
