"""Options of a LoRA training: those of every trainer, and those of one profile."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StringConstraints, field_validator, model_validator

from callsheet.domain.model import Model

TimestepSampling = Literal["sigma", "uniform", "sigmoid", "shift", "flux_shift"]
WanTask = Literal["t2v-1.3B", "t2v-14B", "i2v-14B", "t2i-14B", "t2v-A14B", "i2v-A14B"]
LatentFrames = Annotated[int, Field(ge=1, le=401)]
_MODULE_NAME = r"^[A-Za-z0-9_.]{1,100}$"


class StableDiffusion15(Model):
    """Stable Diffusion 1.5, trained by kohya's `train_network.py`."""

    name: Literal["sd15"] = "sd15"
    train_text_encoder: bool = Field(False, description="Train the text encoder, too")
    clip_skip: int | None = Field(None, ge=1, le=12, description="Layer of the text encoder to use, from its end")
    noise_offset: float | None = Field(None, ge=0, le=1)
    min_snr_gamma: float | None = Field(None, gt=0, le=100, description="Weight the loss by signal-to-noise ratio")


class StableDiffusionXL(Model):
    """Stable Diffusion XL, trained by kohya's `sdxl_train_network.py`."""

    name: Literal["sdxl"] = "sdxl"
    train_text_encoder: bool = Field(False, description="Train the two text encoders, too")
    noise_offset: float | None = Field(None, ge=0, le=1)
    min_snr_gamma: float | None = Field(None, gt=0, le=100, description="Weight the loss by signal-to-noise ratio")


class Flux(Model):
    """Flux.1, trained by kohya's `flux_train_network.py`."""

    name: Literal["flux"] = "flux"
    guidance_scale: float = Field(1.0, ge=0, le=30, description="Guidance during training; 1 for Flux.1 dev")
    timestep_sampling: TimestepSampling = "flux_shift"
    discrete_flow_shift: float = Field(3.0, gt=0, le=20)
    fp8: bool = Field(False, description="Hold the model in 8 bits, for graphics cards with little memory")
    blocks_to_swap: int | None = Field(
        None, ge=1, le=35, description="Blocks of the model that wait in the memory of the machine"
    )


class Wan(Model):
    """Wan 2.1 and 2.2, trained by musubi-tuner's `wan_train_network.py`. Its dataset may contain videos."""

    name: Literal["wan"] = "wan"
    task: WanTask = "t2v-1.3B"
    timestep_sampling: TimestepSampling = "shift"
    discrete_flow_shift: float = Field(3.0, gt=0, le=20)
    fp8: bool = Field(False, description="Hold the model in 8 bits, for graphics cards with little memory")
    blocks_to_swap: int | None = Field(
        None, ge=1, le=38, description="Blocks of the model that wait in the memory of the machine"
    )
    frames: list[LatentFrames] = Field(
        default_factory=lambda: [1, 25],
        min_length=1,
        max_length=10,
        description="Numbers of frames of the clips that are taken from videos; each a multiple of 4, plus 1",
    )
    frame_extraction: Literal["head", "chunk", "slide", "uniform", "full"] = Field(
        "head", description="Which clips are taken from a video"
    )

    @field_validator("frames")
    @classmethod
    def _check_frames(cls, frames: list[int]) -> list[int]:
        if wrong := [number for number in frames if number % 4 != 1]:
            raise ValueError(f"{wrong[0]} is not a multiple of 4, plus 1, such as 1, 25 or 49")
        return frames


class DiffusersPeft(Model):
    """A model in the folder format of diffusers, trained by the trainer that comes with Callsheet."""

    name: Literal["diffusers-peft"] = "diffusers-peft"
    target_modules: list[Annotated[str, StringConstraints(pattern=_MODULE_NAME)]] = Field(
        default_factory=lambda: ["to_q", "to_k", "to_v", "to_out.0"],
        min_length=1,
        max_length=50,
        description="Names of the layers that are adapted",
    )


Profile = Annotated[StableDiffusion15 | StableDiffusionXL | Flux | Wan | DiffusersPeft, Field(discriminator="name")]

RESOLUTIONS = {"sd15": 512, "sdxl": 1024, "flux": 1024, "wan": 480, "diffusers-peft": 512}
"""Side of the square, in pixels, with the area of the training images, by profile."""

BUCKET_STEPS = {"sd15": 64, "sdxl": 32, "flux": 32, "wan": 16, "diffusers-peft": 8}
"""The sides of buckets are multiples of these pixels, by profile."""


class Buckets(Model):
    """Images of similar shape are trained together, without distortion."""

    enabled: bool = True
    min_size: int = Field(256, ge=64, le=4096, description="Smallest side of a bucket, in pixels")
    max_size: int = Field(2048, ge=64, le=8192, description="Largest side of a bucket, in pixels")
    step: int = Field(64, ge=8, le=256, multiple_of=8, description="Sides are multiples of it, in pixels")
    no_upscale: bool = Field(False, description="Leave images that are smaller than their bucket at their size")

    @model_validator(mode="after")
    def _check_sizes(self) -> "Buckets":
        if self.min_size > self.max_size:
            raise ValueError(f"minSize {self.min_size} is above maxSize {self.max_size}")
        return self


class LoraOptions(Model):
    """What determines a training, besides its dataset."""

    profile: Profile = Field(
        default_factory=StableDiffusion15,
        description="Model family and trainer, by name (`sdxl`), or with its own options: "
        "`{name: flux, blocksToSwap: 18}`",
    )
    base_model: str | None = Field(
        None,
        min_length=1,
        max_length=300,
        validation_alias=AliasChoices("base_model", "baseModel", "pretrained_model_name_or_path"),
        description="Model to train on, as a path below the folder of models. Default: that of the settings",
    )
    resolution: int | None = Field(
        None,
        ge=64,
        le=4096,
        multiple_of=8,
        description="Side, in pixels, of the square with the area of the training images. Default: 512 for sd15 and "
        "diffusers-peft, 1024 for sdxl and flux, 480 for wan",
    )
    epochs: int | None = Field(None, ge=1, le=10_000, description="Passes over the dataset. Default: 10")
    steps: int | None = Field(None, ge=1, le=1_000_000, description="Optimizer steps, instead of epochs")
    batch_size: int = Field(1, ge=1, le=256)
    repeats: int = Field(
        1, ge=1, le=1000, description="Uses of each file in one epoch; a subfolder `10_name` sets its own"
    )
    gradient_accumulation: int = Field(1, ge=1, le=256, description="Batches for one optimizer step")
    gradient_checkpointing: bool = Field(True, description="Use less memory, and more time")
    learning_rate: float = Field(1e-4, gt=0, le=1)
    network_dim: int = Field(16, ge=1, le=1024, description="Rank of the LoRA")
    network_alpha: float | None = Field(None, gt=0, le=1024, description="Scale of the LoRA. Default: networkDim")
    optimizer: Literal["AdamW", "AdamW8bit", "Adafactor"] = "AdamW"
    scheduler: Literal["constant", "constant_with_warmup", "cosine", "cosine_with_restarts", "linear", "polynomial"] = (
        "constant"
    )
    warmup_steps: int = Field(0, ge=0, le=100_000)
    seed: int = Field(42, ge=0, lt=2**32)
    save_every_epochs: int | None = Field(
        None, ge=1, le=10_000, description="Epochs between two checkpoints. Default: 1, unless saveEverySteps is set"
    )
    save_every_steps: int | None = Field(None, ge=1, le=1_000_000, description="Steps between two checkpoints")
    sample_prompts: list[Annotated[str, StringConstraints(min_length=1, max_length=1000)]] = Field(
        default_factory=list, max_length=20, description="Pictures of these prompts are made with each checkpoint"
    )
    caption: str | None = Field(
        None, min_length=1, max_length=1000, description="Caption of files without one. Default: each file needs one"
    )
    caption_extension: Literal[".txt", ".caption"] = ".txt"
    shuffle_caption: bool = Field(False, description="Shuffle the parts of captions between commas")
    keep_tokens: int = Field(0, ge=0, le=100, description="Parts at the start of captions that are not shuffled")
    flip: bool = Field(False, description="Mirror half of the images")
    buckets: Buckets = Field(default_factory=Buckets)

    @field_validator("profile", mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_lengths(self) -> "LoraOptions":
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give epochs or steps, not both")
        if self.save_every_epochs is not None and self.save_every_steps is not None:
            raise ValueError("give saveEveryEpochs or saveEverySteps, not both")
        return self

    @model_validator(mode="after")
    def _check_sizes(self) -> "LoraOptions":
        buckets, name = self.buckets, self.profile.name
        if buckets.enabled and not buckets.min_size <= self.side <= buckets.max_size:
            sizes = f"{buckets.min_size} to {buckets.max_size}"
            raise ValueError(f"the resolution {self.side} is outside the sizes of the buckets, {sizes}")
        if buckets.enabled and buckets.step % BUCKET_STEPS[name]:
            raise ValueError(f"buckets.step {buckets.step} is not a multiple of {BUCKET_STEPS[name]}, as {name} needs")
        return self

    @property
    def side(self) -> int:
        """Side, in pixels, of the square with the area of the training images."""
        return self.resolution or RESOLUTIONS[self.profile.name]

    @property
    def alpha(self) -> float:
        """Scale of the LoRA."""
        return self.network_alpha if self.network_alpha is not None else float(self.network_dim)

    @property
    def epoch_count(self) -> int | None:
        """Passes over the dataset; None if the length is a number of steps."""
        return None if self.steps is not None else self.epochs or 10
