"""Params that `upscale` and `interpolate` have in common."""

import re
from typing import Literal, Self

from pydantic import AliasChoices, Field, ValidationInfo, field_validator, model_validator

from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import validation_error
from callsheet.media.enhancement.container_choice import EnhancedFormat
from callsheet.media.enhancement.model_files import list_models, why_unknown
from callsheet.media.enhancement.requests import ModelFiles
from callsheet.media.values import Preset, Quality
from callsheet.settings import Settings

_NAME = re.compile(r"[\w.+-]{1,200}")


class EnhancementParams(Model):
    """The source, the model, and how the result is encoded."""

    src: MediaSource = Field(
        validation_alias=AliasChoices("src", "source", "path", "url", "video", "video_path", "videoPath")
    )
    model: str | None = Field(
        None,
        validation_alias=AliasChoices("model", "model_name", "modelName"),
        description="Name of a model file in CALLSHEET_MODELS_DIR, without suffix. Default: that of the settings",
        examples=["spanx2_ch48"],
    )
    format: EnhancedFormat | None = Field(
        None, description="Container. Default: one that holds all audio and subtitle streams of the source"
    )
    codec: Literal["h264", "h265"] | None = Field(
        None, description="Default: h264; h265 for more than 8 bits per color, and for frames over 4096 pixels"
    )
    quality: Quality | None = Field(None, description="Quality of the encode. Default: best")
    crf: int | None = Field(None, ge=0, le=51, description="Constant rate factor, instead of quality")
    preset: Preset | None = Field(None, description="Default: FFMPEG_VIDEO_PRESET")
    part_frames: int = Field(120, ge=2, le=100_000, description="Frames per part. Each part is kept in the cache")

    @field_validator("model")
    @classmethod
    def _check_name(cls, value: str | None) -> str | None:
        if value is not None and not _NAME.fullmatch(value):
            raise ValueError("a model is named by its file name without folder and suffix")
        return value

    @model_validator(mode="after")
    def _check_quality(self) -> Self:
        if self.quality is not None and self.crf is not None:
            raise ValueError("give quality or crf, not both")
        return self

    def model_problem(self, settings: Settings, default: str | None) -> Problem | None:
        """Return why the model cannot be used, by the folder of these settings."""
        name = self.model or default
        if name is None:
            known = ", ".join(sorted(list_models(settings.models_folder))) or "none"
            return Problem("model", "missing", f"name a model; there are: {known}")
        return unknown_model_problem(settings, "model", name)

    def more_model_problems(self, _settings: Settings) -> list[Problem]:
        """Return why other models than `model` cannot be used."""
        return []

    def find_model(self, settings: Settings, default: str | None) -> ModelFiles:
        """Return the files of the model. Raises BadParams if there is none."""
        problem = self.model_problem(settings, default)
        if problem is not None:
            raise BadParams([problem])
        return list_models(settings.models_folder)[self.model or default or ""]


def unknown_model_problem(settings: Settings, field: str, name: str) -> Problem | None:
    """Return why a field names no model of the folder of these settings."""
    models = list_models(settings.models_folder)
    if name in models:
        return None
    return Problem(field, "unknown_model", why_unknown(name, models, settings.models_folder))


def check_known_model(params: EnhancementParams, info: ValidationInfo, setting: str) -> None:
    """Raise the error of models that the server does not know. A server without models cannot know."""
    settings = info.context
    if isinstance(settings, Settings) and list_models(settings.models_folder):
        problem = params.model_problem(settings, getattr(settings, setting))
        problems = [*([problem] if problem is not None else []), *params.more_model_problems(settings)]
        if problems:
            raise validation_error(problems, type(params).__name__)
