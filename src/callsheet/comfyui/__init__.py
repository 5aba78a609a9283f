"""A ComfyUI server, from outside: what a client meets, what it sends and what it gets."""
