"""The FFmpeg binary: discovery, runner, inputs, filter graphs, progress, error messages."""
