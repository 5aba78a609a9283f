"""FFmpeg filters shared by several commands."""
