"""Providers: external generators behind one contract, one adapter file each."""
