"""Files that are stored, and files that are fetched."""
