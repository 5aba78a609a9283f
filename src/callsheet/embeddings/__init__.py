"""Texts as vectors of unit length: texts with a similar meaning have a similar direction."""
