"""Encoders, codecs, rate control, loudness, color."""
