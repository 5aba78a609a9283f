"""An embedding model on the server of language models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from callsheet.embeddings.unit_length import to_unit_length
from callsheet.language_models.server import open_server
from callsheet.settings import Settings

if TYPE_CHECKING:
    from callsheet.embeddings.contract import Vectors

_BATCH = 32
"""Texts of one request."""
_MAX_CHARACTERS = 8_000
"""Characters of a text that are sent. Models read some hundred to some thousand words, and servers may refuse more."""
_sizes: dict[tuple[str, str], int] = {}
"""Numbers of a vector, by server and model, as this process has found them."""


class ServerModel:
    """Implements `Embedder` by requests to `/v1/embeddings`."""

    def __init__(self, settings: Settings, model: str) -> None:
        self._settings = settings
        self._model = model

    async def name(self) -> str:
        """Return the server's name of the model, and the numbers of its vectors: a name can get another model."""
        key = (self._settings.llm_url, self._model)
        if key not in _sizes:
            _sizes[key] = (await self.embed(["size"])).shape[1]
        return f"{self._model}/{_sizes[key]}"

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return a vector for each text. Raises the errors of `LanguageModelServer.embed`."""
        found: list[list[float]] = []
        async with open_server(self._settings) as server:
            for start in range(0, len(texts), _BATCH):
                batch = [text[:_MAX_CHARACTERS] for text in texts[start : start + _BATCH]]
                found += await server.embed(self._model, batch)
        return to_unit_length(found)
