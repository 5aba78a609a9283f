"""Scale vectors to unit length, so that their inner product is the cosine of their angle."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callsheet.embeddings.contract import Vectors


def to_unit_length(rows: Any) -> "Vectors":
    """Return the rows as vectors of length 1. A row of zeros stays one."""
    import numpy as np

    vectors = np.asarray(rows, np.float32)
    if vectors.size == 0:
        return vectors.reshape(0, 0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12), np.float32)
