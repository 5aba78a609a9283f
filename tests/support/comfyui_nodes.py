"""Nodes for the tests on a real ComfyUI server, which loads this file from `custom_nodes`.

`tools/try_comfyui.py` puts it there. Nothing else imports it: `comfy` is a package of the server.
"""

import math
import os
import signal
import time

import comfy.model_management
import comfy.utils


class CallsheetSleep:
    """Passes an image on after some seconds, in steps between which it can be interrupted. It is never cached."""

    CATEGORY = "callsheet"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        """Return the inputs. `steps` 0: without steps, so that it reports nothing and cannot be interrupted."""
        return {
            "required": {
                "image": ("IMAGE",),
                "seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 3600.0}),
                "steps": ("INT", {"default": 10, "min": 0, "max": 10_000}),
            }
        }

    @classmethod
    def IS_CHANGED(cls, **_inputs):
        """Return a value that equals none before."""
        return math.nan

    def run(self, image, seconds, steps):
        """Sleep."""
        if steps == 0:
            time.sleep(seconds)  # sleep: the node takes this long
            return (image,)
        bar = comfy.utils.ProgressBar(steps)
        for _ in range(steps):
            time.sleep(seconds / steps)  # sleep: each step takes this long
            comfy.model_management.throw_exception_if_processing_interrupted()
            bar.update(1)
        return (image,)


class CallsheetFail:
    """Fails in the way that is chosen."""

    CATEGORY = "callsheet"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        """Return the inputs."""
        return {
            "required": {
                "image": ("IMAGE",),
                "how": (["error", "memory", "process", "thread"],),
                "message": ("STRING", {"default": "failed"}),
            }
        }

    @classmethod
    def IS_CHANGED(cls, **_inputs):
        """Return a value that equals none before."""
        return math.nan

    def run(self, image, how, message):
        """Raise an error, end the process as the system does when memory runs out, or end the thread of prompts."""
        if how == "process":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "thread":
            raise SystemExit(message)
        raise MemoryError(message) if how == "memory" else ValueError(message)


NODE_CLASS_MAPPINGS = {"CallsheetSleep": CallsheetSleep, "CallsheetFail": CallsheetFail}
