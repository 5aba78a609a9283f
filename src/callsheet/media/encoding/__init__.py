"""Codecs, encoders, rate control, color, PCM audio, loudness."""
