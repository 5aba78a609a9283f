"""Fake outside services that speak the real wire formats: providers and ComfyUI."""
