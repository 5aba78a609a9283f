"""A fake ComfyUI server. It speaks the HTTP and websocket protocol of the real one, and runs small graphs for real.

    async with running_comfyui(tmp_path) as server:
        settings = Settings(comfyui_api_url=server.url)
        ...
        assert server.accepted == [prompt_id]

It has the nodes of ComfyUI that need no model, and some that a test controls: see `nodes`. Faults are injected with the
attributes of `FakeComfyUI`.
"""

from callsheet.fakes.comfyui.fake_server import FakeComfyUI, running_comfyui

__all__ = ["FakeComfyUI", "running_comfyui"]
