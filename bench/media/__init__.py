"""How fast media is worked on, beside FFmpeg by hand and other ways to the same end."""
