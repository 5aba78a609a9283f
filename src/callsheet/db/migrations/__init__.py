"""Schema migrations."""

HEAD = "0014_users_of_providers"
"""The newest revision. Servers and workers refuse a database at another one."""
