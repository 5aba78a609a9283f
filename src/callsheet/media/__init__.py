"""Everything that touches pictures and sound: what to ask of FFmpeg, and the one place that runs it."""
