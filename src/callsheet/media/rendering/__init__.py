"""Rendering: a timeline is compiled to FFmpeg commands, and these produce one video file."""
