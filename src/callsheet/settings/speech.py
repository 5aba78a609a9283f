"""Speech recognition for captions."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field


class SpeechSettings(BaseModel):
    """Speech models."""

    speech_models: Path | None = Field(
        None,
        description="Folder with one subfolder per speech model, named like the model, in CTranslate2 format. Models "
        "that are not in it are downloaded at first use",
    )
    speech_device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Device that runs speech models: `auto`, `cpu` or `cuda`"
    )
    caption_model: str = Field(
        "base",
        min_length=1,
        description="Speech model of `caption` jobs that name none: a name such as `small`, or the path of a folder",
    )
