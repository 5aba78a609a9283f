"""Params and result of `upscale`."""

from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, ValidationInfo, field_validator, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.model import Model
from callsheet.media.enhancement.model_files import list_models
from callsheet.media.enhancement.requests import FaceRestoration
from callsheet.operations.comfyui.workflow_checks import check_workflow_inputs, check_workflow_name
from callsheet.operations.enhancement import EnhancementResult
from callsheet.operations.enhancement_params import EnhancementParams, check_known_model, unknown_model_problem
from callsheet.operations.upscale_workflow import prepare_upscale
from callsheet.settings import Settings

Engine = Literal["local", "comfyui"]
WORKFLOW = "upscale"
_COMFYUI_ONLY = ("workflow", "inputs", "tags", "server")
_LOCAL_ONLY = ("tile", "spread", "faces", "face_weight", "face_detector")


class UpscaleSpec(EnhancementParams):
    """What to upscale, and how."""

    scale: float | None = Field(
        None,
        ge=1,
        le=16,
        description="Factor of width and height, at most that of the model. Default: that of the model",
    )
    tile: int = Field(
        512, ge=64, le=8192, description="Longest side of the part of a frame that the model gets at once, in pixels"
    )

    faces: str | None = Field(
        None,
        validation_alias=AliasChoices("faces", "face_model", "faceModel"),
        description="Name of a model in CALLSHEET_MODELS_DIR that restores faces, such as GFPGAN. Default: none",
    )
    face_weight: float = Field(0.8, ge=0, le=1, description="Share of the restored face in the result")
    face_detector: str = Field(
        "face_detection_yunet_2023mar", description="Name of a model in CALLSHEET_MODELS_DIR that finds faces"
    )

    @property
    def uses_local_model(self) -> bool:
        """Whether the model is a file of the worker."""
        return True

    def more_model_problems(self, settings: Settings) -> list[Problem]:
        """Return why the models of faces cannot be used."""
        if self.faces is None:
            return []
        named = {"faces": self.faces, "faceDetector": self.face_detector}
        found = [unknown_model_problem(settings, field, name) for field, name in named.items()]
        return [problem for problem in found if problem is not None]

    def find_face_models(self, settings: Settings) -> FaceRestoration | None:
        """Return how faces are restored; None if they are not. Raises BadParams for models that there are not."""
        if self.faces is None:
            return None
        if problems := self.more_model_problems(settings):
            raise BadParams(problems)
        models = list_models(settings.models_folder)
        return FaceRestoration(models[self.face_detector], models[self.faces], self.face_weight)

    @model_validator(mode="after")
    def _check_model(self, info: ValidationInfo) -> Self:
        if self.uses_local_model:
            check_known_model(self, info, "upscale_model")
        return self


class UpscaleParams(UpscaleSpec):
    """A video or an image to upscale."""

    spread: bool = Field(True, description="Make parts of a long video on other machines, if there are any")
    engine: Engine = Field(
        "local",
        description="local: a model file of the worker; comfyui: a workflow on ComfyUI servers, for videos. There, "
        "model is the name of the file on the server, with suffix",
    )
    workflow: Annotated[str, AfterValidator(check_workflow_name)] = Field(
        WORKFLOW, max_length=200, description="Stored workflow of comfyui: has the input `video`, returns its frames"
    )
    inputs: dict[str, Any] = Field(
        default_factory=dict, max_length=100, description="More inputs of the workflow, by name"
    )
    tags: list[str] = Field(default_factory=list, max_length=100, description="Tags that the ComfyUI server must have")
    server: str | None = Field(None, description="Name of the only ComfyUI server to use")

    @field_validator("inputs")
    @classmethod
    def _check_inputs(cls, value: dict[str, Any]) -> dict[str, Any]:
        if own := sorted({"video", "model"} & value.keys()):
            raise ValueError(f"{' and '.join(own)} of the workflow is set by src and model")
        return value

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        others = _COMFYUI_ONLY if self.engine == "local" else _LOCAL_ONLY
        if wrong := [name for name in others if name in self.model_fields_set]:
            engine = "comfyui" if self.engine == "local" else "local"
            raise ValueError(f"only the engine {engine} has {', '.join(wrong)}; the engine is {self.engine}")
        return self

    @model_validator(mode="after")
    def _check_workflow(self, info: ValidationInfo) -> Self:
        if self.engine == "comfyui":
            values = {"model": self.model, **{f"inputs.{name}": value for name, value in self.inputs.items()}}
            prepare = partial(prepare_upscale, self.workflow, self.inputs, self.src, self.model)
            check_workflow_inputs(prepare, values, info)
        return self

    @property
    def uses_local_model(self) -> bool:
        """Whether the model is a file of the worker."""
        return self.engine == "local"


class UpscaleResult(EnhancementResult):
    """The larger video or image."""

    file: Artifact
    video: Artifact | None = Field(description="The file, if it is a video")
    image: Artifact | None = Field(description="The file, if it is an image")
    engine: Engine = "local"


class RemotePartParams(Model):
    """One part of a video to upscale on a ComfyUI server."""

    video: UpscaleParams
    part: int = Field(ge=0, lt=1000, description="Number of the part, from 0")


class RemotePart(Model):
    """The part, without audio."""

    video: Artifact
    frames: int
    server: str | None = Field(description="Name of the ComfyUI server; None if the part was in the cache")
