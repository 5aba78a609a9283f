"""A stand-in for a ComfyUI server, which speaks as the real one does and runs small graphs for real.

    async with running_comfyui(tmp_path) as server:
        settings = Settings(comfyui_api_url=server.url)
        ...
        assert server.accepted == [prompt_id]

Its nodes are those of ComfyUI that need no model, and some that a test holds in its hand: see `nodes`. Bad weather is
told by the attributes of `FakeComfyUI`.
"""

from callsheet.fakes.comfyui.fake_server import FakeComfyUI, running_comfyui

__all__ = ["FakeComfyUI", "running_comfyui"]
