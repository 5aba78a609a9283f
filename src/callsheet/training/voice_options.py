"""Options of the training of a voice."""

from typing import Literal

from pydantic import AliasChoices, Field

from callsheet.domain.model import Model


class VoiceOptions(Model):
    """What determines the training of a voice, besides its recordings."""

    architecture: Literal["F5TTS_v1_Base", "F5TTS_Base", "E2TTS_Base"] = Field(
        "F5TTS_v1_Base", description="Model of F5-TTS that is trained further"
    )
    base_model: str | None = Field(
        None,
        min_length=1,
        max_length=300,
        validation_alias=AliasChoices("base_model", "baseModel", "pretrain"),
        description="Checkpoint to start from, as a path below the folder of models. Default: that of the settings, "
        "else F5-TTS downloads its own",
    )
    epochs: int = Field(100, ge=1, le=100_000, description="Passes over the recordings")
    learning_rate: float = Field(1e-5, gt=0, le=1)
    batch_frames: int = Field(3200, ge=100, le=1_000_000, description="Frames of a batch; 94 are a second of sound")
    gradient_accumulation: int = Field(1, ge=1, le=256, description="Batches for one update")
    warmup_updates: int = Field(200, ge=0, le=1_000_000)
    save_every_updates: int = Field(1000, ge=1, le=10_000_000, description="Updates between two checkpoints")
    samples: bool = Field(False, description="Make a sample of the voice with each checkpoint")
