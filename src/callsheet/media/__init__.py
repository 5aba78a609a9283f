"""Media processing: probe, encode, render and transcode with FFmpeg."""
