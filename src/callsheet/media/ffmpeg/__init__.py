"""The FFmpeg binary: discovery, runner, inputs, filter graphs, errors."""
