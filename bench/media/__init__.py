"""Benchmarks of media operations, compared with hand-written FFmpeg commands and other libraries."""
