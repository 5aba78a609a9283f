"""Somebody else's generators: one file a provider, behind one contract."""
