"""Winning ads: their facts as vectors, an index of them, and the search for similar ones."""
