"""The model that turns texts into vectors, for the search of winning ads."""

from pathlib import Path

from pydantic import BaseModel, Field, model_validator


class EmbeddingSettings(BaseModel):
    """An embedding model in a folder, or on the server of language models."""

    embedding_folder: Path | None = Field(
        None,
        description="Folder of an embedding model that runs on the CPU: `model.onnx` and `tokenizer.json`, as "
        "sentence-transformers exports them, such as all-MiniLM-L6-v2. Nothing is downloaded",
    )
    embedding_model: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Embedding model of the server at `CALLSHEET_LLM_URL`, such as `all-minilm`, instead of a folder",
    )

    @model_validator(mode="after")
    def _check_one_embedding_model(self) -> "EmbeddingSettings":
        if self.embedding_folder is not None and self.embedding_model is not None:
            raise ValueError("set CALLSHEET_EMBEDDING_FOLDER or CALLSHEET_EMBEDDING_MODEL, and not both")
        return self
