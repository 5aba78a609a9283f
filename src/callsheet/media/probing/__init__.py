"""Read media files: streams, frame index, MP4 boxes, output checks."""
