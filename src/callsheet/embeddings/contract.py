"""The contract of embedding models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    """One row for each text; each row has the length 1."""


class Embedder(Protocol):
    """A model that turns texts into vectors."""

    async def name(self) -> str:
        """Return what identifies the model: only vectors of the same model can be compared."""

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return a vector for each text. Raises JobError or ConfigurationError if the model fails."""
