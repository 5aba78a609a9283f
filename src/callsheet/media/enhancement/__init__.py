"""Upscaling and frame interpolation by neural networks, in child processes that stream the frames."""
