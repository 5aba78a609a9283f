"""FFmpeg filters shared by several operations."""
