"""Upscaling and frame interpolation."""

from typing import Literal

from pydantic import BaseModel, Field


class EnhancementSettings(BaseModel):
    """How `upscale` and `interpolate` run their models."""

    upscale_model: str | None = Field(
        None, min_length=1, description="Model of `upscale` jobs that name none, by its file name without suffix"
    )
    interpolate_model: str | None = Field(
        None, min_length=1, description="Model of `interpolate` jobs that name none, by its file name without suffix"
    )
    model_device: Literal["auto", "cpu"] = Field(
        "auto", description="Device that runs models: `auto` is the GPU if there is one, else the CPU"
    )
    model_threads: int | None = Field(
        None, ge=1, le=1024, description="CPU threads of one `upscale` or `interpolate` job; unset: one per usable CPU"
    )
