"""Client side of ComfyUI: HTTP and websocket clients, prompt tracking, server pool, managed server."""
