"""Text rendering: subtitle files, cue segmentation, text layout and ASS scripts."""
