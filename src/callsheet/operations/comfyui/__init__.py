"""The `comfyui` operation."""
