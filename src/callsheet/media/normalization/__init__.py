"""Pictures that FFmpeg alone would show otherwise than viewers do, rewritten for all operations."""
