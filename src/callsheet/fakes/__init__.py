"""Fake servers with the wire formats of the real services: providers and ComfyUI."""
