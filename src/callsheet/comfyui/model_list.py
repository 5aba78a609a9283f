"""The models that `callsheet comfyui models pull` knows by name, and models at any URL."""

from importlib.resources import files
from pathlib import PurePosixPath
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import Field

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import BadParams, NotFound, Problem
from callsheet.domain.model import Model
from callsheet.domain.yaml_text import read_yaml
from callsheet.files.object_keys import safe_name

Folder = Literal[
    "audio_encoders",
    "checkpoints",
    "clip_vision",
    "controlnet",
    "diffusion_models",
    "embeddings",
    "latent_upscale_models",
    "loras",
    "model_patches",
    "style_models",
    "text_encoders",
    "upscale_models",
    "vae",
    "vae_approx",
]
"""The folders of ComfyUI that models can be pulled into."""
_SAFE_SUFFIXES = frozenset({".safetensors", ".sft", ".gguf"})
_PICKLE_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin"})
"""Files that can run code when they are loaded."""


class ModelSource(Model):
    """A model file, and where it comes from."""

    name: str
    title: str = ""
    url: str
    file: str = Field(description="File name in its folder")
    folder: Folder
    bytes: int | None = Field(None, description="Size; None: not known")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="None: not known, so it is not verified")
    licence: str = "see its page"


def listed_models() -> dict[str, ModelSource]:
    """Return the models of the list by name."""
    entries = read_yaml(files("callsheet.comfyui").joinpath("model_list.yaml").read_bytes())
    return {entry["name"]: ModelSource.model_validate(entry) for entry in entries}


def listed_model(name: str) -> ModelSource:
    """Return a model of the list. Raises NotFound."""
    models = listed_models()
    if name not in models:
        raise NotFound(
            f"There is no model '{name}' in the list{did_you_mean(name, models)}. `callsheet comfyui models list` "
            "shows it; any other model can be pulled by its URL."
        )
    return models[name]


def model_at(
    url: str, folder: str, *, file: str | None = None, sha256: str | None = None, allow_pickle: bool = False
) -> ModelSource:
    """Return a model at a URL. Raises BadParams with all problems of the URL, folder, file name and digest."""
    parts = urlsplit(url)
    name = safe_name(file or unquote(PurePosixPath(parts.path).name))
    problems: list[Problem] = []
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        problems.append(Problem("url", "bad_url", "must start with https:// or http://"))
    if folder not in get_args(Folder):
        allowed = ", ".join(get_args(Folder))
        problems.append(Problem("folder", "bad_value", f"there is no folder '{folder}'; allowed: {allowed}"))
    if sha256 is not None and (len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef")):
        problems.append(Problem("sha256", "bad_digest", "must be 64 hexadecimal digits"))
    problems += _suffix_problems(PurePosixPath(name).suffix.lower(), allow_pickle=allow_pickle)
    if problems:
        raise BadParams(problems, "The model cannot be pulled")
    return ModelSource.model_validate(
        {"name": name, "url": url, "file": name, "folder": folder, "sha256": sha256 and sha256.lower()}
    )


def _suffix_problems(suffix: str, *, allow_pickle: bool) -> list[Problem]:
    if suffix in _SAFE_SUFFIXES or (allow_pickle and suffix in _PICKLE_SUFFIXES):
        return []
    if suffix in _PICKLE_SUFFIXES:
        message = f"a file {suffix} can run code when it is loaded; look for .safetensors, or add --allow-pickle"
    else:
        known = ", ".join(sorted(_SAFE_SUFFIXES | _PICKLE_SUFFIXES))
        message = f"the name has no suffix of a model ({known}); set --name"
    return [Problem("file", "unsupported", message)]
