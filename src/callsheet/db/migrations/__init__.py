"""Schema migrations."""

HEAD = "0017_lanes_set_by_hand"
"""The newest revision. Servers and workers refuse a database at another one."""
