"""The built-in operations, one file each."""
