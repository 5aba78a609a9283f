"""The embedding model of the settings."""

from importlib.util import find_spec

from callsheet.domain.errors import NotConfigured
from callsheet.embeddings import onnx_model
from callsheet.embeddings.contract import Embedder
from callsheet.embeddings.server_model import ServerModel
from callsheet.settings import Settings

INSTALL_WITH = "pip install 'callsheet[search]'"
"""The command that installs the dependencies."""
_UNSET = (
    "No embedding model is configured: set CALLSHEET_EMBEDDING_FOLDER to a folder with model.onnx and tokenizer.json, "
    "or CALLSHEET_EMBEDDING_MODEL to a model of the server at CALLSHEET_LLM_URL"
)


def why_no_embedder(settings: Settings) -> str | None:
    """Return why texts cannot be embedded here; None if they can, as far as can be seen without loading a model."""
    folder = settings.embedding_folder
    if folder is None and settings.embedding_model is None:
        return _UNSET
    modules = ["numpy"] if folder is None else ["numpy", "onnxruntime", "tokenizers"]
    if missing := [name for name in modules if find_spec(name) is None]:
        return f"{' and '.join(missing)} not installed; run {INSTALL_WITH}"
    files = [] if folder is None else [folder / onnx_model.MODEL, folder / onnx_model.TOKENIZER]
    if absent := [path.name for path in files if not path.is_file()]:
        return f"the folder CALLSHEET_EMBEDDING_FOLDER has no {' and no '.join(absent)}"
    return None


def find_embedder(settings: Settings) -> Embedder:
    """Return the embedding model of the settings. Raises NotConfigured if it cannot be used here."""
    if (reason := why_no_embedder(settings)) is not None:
        raise NotConfigured(reason)
    if settings.embedding_folder is not None:
        return onnx_model.open_model(settings.embedding_folder.absolute())
    assert settings.embedding_model is not None  # noqa: S101 - checked above
    return ServerModel(settings, settings.embedding_model)
