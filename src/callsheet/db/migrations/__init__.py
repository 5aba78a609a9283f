"""Schema migrations."""

HEAD = "0019_saved_views"
"""The newest revision. Servers and workers refuse a database at another one."""
