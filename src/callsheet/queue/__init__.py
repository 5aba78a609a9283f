"""Everything between a ready row and a started job."""
