"""Training: datasets, trainers and base models."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

from callsheet.domain.durations import Duration
from callsheet.settings.folders import split_paths

BASE_MODELS = {
    "sd15": "sd15.safetensors",
    "sdxl": "sdxl.safetensors",
    "flux": "flux1-dev.safetensors",
    "flux.clip_l": "clip_l.safetensors",
    "flux.t5xxl": "t5xxl_fp16.safetensors",
    "flux.ae": "ae.safetensors",
    "wan": "wan2.1_t2v_1.3B_bf16.safetensors",
    "wan.high_noise": "",
    "wan.vae": "wan_2.1_vae.safetensors",
    "wan.t5": "models_t5_umt5-xxl-enc-bf16.pth",
    "wan.clip": "",
    "diffusers-peft": "diffusers",
    "f5-tts": "",
}
"""Models of the profiles, as paths below TRAINING_MODELS; empty: the trainer needs none."""


class TrainingSettings(BaseModel):
    """Trainers of this machine, and what plans may use of it."""

    training_datasets: Annotated[list[Path], NoDecode] = Field(
        default_factory=list,
        description="Folders whose datasets a plan may name, separated by ':', besides SOURCE_ROOTS; empty: only those",
    )
    training_output: Path | None = Field(
        None, description="Folder of the results of trainings; unset: `training` in the data folder"
    )
    training_models: Path | None = Field(None, description="Folder with the base models of trainings")
    training_base_models: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict,
        description="Base models that have other names than the defaults, as paths below TRAINING_MODELS: "
        "`sdxl=juggernaut.safetensors,flux.ae=vae/ae.safetensors`",
    )
    kohya_path: Path | None = Field(None, description="Folder with kohya's sd-scripts, for sd15, sdxl and flux")
    kohya_python: Path | None = Field(
        None, description="Python interpreter for sd-scripts; unset: `.venv` or `venv` in KOHYA_PATH"
    )
    musubi_path: Path | None = Field(None, description="Folder with musubi-tuner, for wan")
    musubi_python: Path | None = Field(
        None, description="Python interpreter for musubi-tuner; unset: `.venv` or `venv` in MUSUBI_PATH"
    )
    f5_tts_path: Path | None = Field(None, description="Folder with F5-TTS, for voices")
    f5_tts_python: Path | None = Field(
        None, description="Python interpreter for F5-TTS; unset: `.venv` or `venv` in F5_TTS_PATH"
    )
    peft_python: Path | None = Field(
        None,
        description="Python interpreter with torch, diffusers and peft, for the trainer `diffusers-peft` that comes "
        "with Callsheet",
    )
    accelerate_args: str = Field(
        "", description="Additional arguments of `accelerate launch`, such as `--multi_gpu --num_processes 2`"
    )
    training_mixed_precision: Literal["no", "fp16", "bf16"] = Field(
        "bf16", description="Number format of trainings; `no`: 32 bits, for machines without a GPU"
    )
    lora_training_dry_run: bool = Field(
        False,
        description="Do everything of a training but execute its commands. `LORA_TRAINING_DRY_RUN=1` is the same",
    )
    training_timeout: Duration = Field(
        timedelta(days=1),
        gt=timedelta(0),
        description="Time limit of one run of a training whose plan sets no `timeout`. Read by the server that "
        "accepts the plan",
    )

    @field_validator("training_datasets", mode="before")
    @classmethod
    def _split_datasets(cls, value: Any) -> Any:
        return split_paths(value)

    @field_validator("training_base_models", mode="before")
    @classmethod
    def _parse_base_models(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        entries = [part.strip() for part in value.split(",") if part.strip()]
        if wrong := [each for each in entries if not all(each.partition("="))]:
            raise ValueError(f"'{wrong[0]}' is not of the form profile=path, as in sdxl=juggernaut.safetensors")
        return dict(each.split("=", 1) for each in entries)

    @field_validator("training_base_models")
    @classmethod
    def _check_base_models(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(value.keys() - BASE_MODELS.keys()):
            raise ValueError(f"there is no base model '{unknown[0]}'; known: {', '.join(BASE_MODELS)}")
        return value
