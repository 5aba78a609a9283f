"""Read media files: streams, frame index, output checks."""
