"""The model files of an installation, in the folder that `CALLSHEET_MODELS_DIR` names.

A model is named by its file name without suffix: `spanx2_ch48` is `spanx2_ch48.param` with `spanx2_ch48.bin` (ncnn), or
`spanx2_ch48.onnx`. The files are in the folder itself, or in a folder below it.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.files.digest import sha256_of_file
from callsheet.media.enhancement.requests import ModelFiles


def list_models(folder: Path) -> dict[str, ModelFiles]:
    """Return the models of a folder by name. An ONNX file takes precedence over ncnn files of the same name."""
    models: dict[str, ModelFiles] = {}
    for each in _model_files(folder):
        models.setdefault(each.name, each)
    return models


def _model_files(folder: Path) -> Iterator[ModelFiles]:
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())) if folder.is_dir() else ():
        for path in sorted(place.glob("*.onnx")):
            yield ModelFiles(path.stem, "onnx", str(path.absolute()))
        for path in sorted(place.glob("*.param")):
            weights = path.with_suffix(".bin")
            if weights.is_file():
                yield ModelFiles(path.stem, "ncnn", str(weights.absolute()), str(path.absolute()))


def why_unknown(name: str, models: dict[str, ModelFiles], folder: Path) -> str:
    """Return the message for a model that is not in the folder, with the models that are."""
    known = ", ".join(sorted(models)) or "none"
    return f"there is no model '{name}' in {folder.name}/{did_you_mean(name, models)}; there are: {known}"


def model_digest(model: ModelFiles) -> str:
    """Return a digest of the files of a model. It reads them all."""
    paths = [path for path in (model.graph, model.weights) if path]
    return hashlib.sha256("".join(sha256_of_file(Path(path)) for path in paths).encode()).hexdigest()
