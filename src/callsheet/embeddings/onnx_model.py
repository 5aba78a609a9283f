"""A sentence embedding model in ONNX format, run on the CPU.

The text is split into windows that the model can read. The vector of a window is the mean of the vectors of its
tokens, and that of a text is the mean of its windows, by their lengths; so the end of a long script counts, too.
"""

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callsheet.domain.errors import ConfigurationError
from callsheet.embeddings.unit_length import to_unit_length
from callsheet.files.digest import sha256_of_file
from callsheet.media.ffmpeg.runner import usable_processors

if TYPE_CHECKING:
    from callsheet.embeddings.contract import Vectors

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
_WINDOW = 256
"""Tokens of a window: what the common sentence models were trained with."""
_MAX_WINDOWS = 40
"""Windows of a text that are read: about 7,000 words."""
_BATCH = 16
"""Windows that the model reads at once."""


@lru_cache(maxsize=2)
def open_model(folder: Path) -> "OnnxModel":
    """Return the model of a folder. It stays in memory: about three times the size of its file."""
    return OnnxModel(folder)


class OnnxModel:
    """Implements `Embedder` by the files of a folder. They are read at first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    async def name(self) -> str:
        """Return the digest of the files, so that the same model has the same name on every machine."""
        return await asyncio.to_thread(lambda: self._name)

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return a vector for each text. Raises ConfigurationError if the files are no such model."""
        return await asyncio.to_thread(self._embed, list(texts))

    @cached_property
    def _name(self) -> str:
        digests = "".join(sha256_of_file(self._folder / name) for name in (MODEL, TOKENIZER))
        return f"onnx:{hashlib.sha256(digests.encode()).hexdigest()[:16]}"

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # The server answers other requests meanwhile.
        options.intra_op_num_threads = max(1, usable_processors() // 2)
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(str(self._folder / MODEL), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise self._unusable(MODEL, error) from error

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
        except Exception as error:
            raise self._unusable(TOKENIZER, error) from error
        tokenizer.enable_truncation(_WINDOW)
        tokenizer.no_padding()
        return tokenizer

    def _unusable(self, name: str, error: Exception) -> ConfigurationError:
        reason = str(error).partition("\n")[0][:300]
        return ConfigurationError(
            f"{name} in the folder CALLSHEET_EMBEDDING_FOLDER cannot be used as an embedding model: {reason}"
        )

    def _embed(self, texts: list[str]) -> "Vectors":
        import numpy as np

        if not texts:
            return to_unit_length([])
        with self._lock:  # several threads would not be faster
            windows: list[list[int]] = []
            owners: list[int] = []
            for owner, encoding in enumerate(self._tokenizer.encode_batch(texts)):
                parts = [encoding.ids, *(each.ids for each in encoding.overflowing)][:_MAX_WINDOWS]
                windows += parts
                owners += [owner] * len(parts)
            vectors = self._window_vectors(windows)
        sums = np.zeros((len(texts), vectors.shape[1]), np.float32)
        weights = np.array([len(each) for each in windows], np.float32)[:, None]
        np.add.at(sums, owners, to_unit_length(vectors) * weights)
        return to_unit_length(sums)

    def _window_vectors(self, windows: list[list[int]]) -> "Vectors":
        """Return the vector of each window. Windows of similar lengths are read together, to pad them less."""
        import numpy as np

        order = sorted(range(len(windows)), key=lambda place: len(windows[place]))
        found: list[Any] = [None] * len(windows)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            for place, vector in zip(places, self._run([windows[place] for place in places]), strict=True):
                found[place] = vector
        return np.stack(found)

    def _run(self, batch: list[list[int]]) -> Any:
        import numpy as np

        ids = np.zeros((len(batch), max(map(len, batch))), np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(batch):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        wanted = {each.name for each in self._session.get_inputs()}
        try:
            hidden = self._session.run(None, {name: inputs[name] for name in inputs.keys() & wanted})[0]
        except Exception as error:
            raise self._unusable(MODEL, error) from error
        if hidden.ndim != 3:
            raise self._unusable(MODEL, ValueError("its first output must be one vector for each token"))
        weights = mask[:, :, None].astype(np.float32)
        return (hidden * weights).sum(axis=1) / weights.sum(axis=1)
