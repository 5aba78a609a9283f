"""The FAISS index of vectors: exact up to some size, and by clusters beyond."""

from typing import TYPE_CHECKING, Any

from callsheet.media.ffmpeg.runner import usable_processors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from callsheet.embeddings.contract import Vectors

    Numbers = NDArray[np.int64]

EXACT_UP_TO = 50_000
"""Vectors up to which every vector is compared. Beyond, those of the nearest clusters."""
_VECTORS_PER_CLUSTER = 40
"""Training vectors for each cluster."""
_PROBED_SHARE = 1 / 20
"""Share of the clusters whose vectors are compared."""


def build_index(numbers: "Numbers", vectors: "Vectors") -> Any:
    """Return an index of vectors of unit length, by their inner product. Blocks; half of the CPUs work on it."""
    import faiss
    import numpy as np

    # A setting of the thread. The others answer requests.
    faiss.omp_set_num_threads(max(1, usable_processors() // 2))
    size = vectors.shape[1]
    if len(vectors) <= EXACT_UP_TO:
        index: Any = faiss.IndexIDMap(faiss.IndexFlatIP(size))
    else:
        clusters = int(4 * len(vectors) ** 0.5)
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(size), size, clusters, faiss.METRIC_INNER_PRODUCT)
        index.cp.spherical = True
        index.nprobe = max(1, round(clusters * _PROBED_SHARE))
        count = min(len(vectors), clusters * _VECTORS_PER_CLUSTER)
        index.train(vectors[np.random.default_rng(0).choice(len(vectors), count, replace=False)])
    index.add_with_ids(vectors, numbers)
    return index


def nearest(index: Any, vector: "Vectors", count: int, among: "Numbers | None" = None) -> tuple["Numbers", "Vectors"]:
    """Return the numbers of the nearest vectors, and their inner products, best first. Blocks; uses one CPU.

    `among` limits the search to vectors with these numbers, each of which is compared.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    params: Any = None
    if among is not None:
        params = faiss.SearchParameters()
        if isinstance(index, faiss.IndexIVF):
            params = faiss.SearchParametersIVF()
            params.nprobe = index.nlist
        selector = faiss.IDSelectorBatch(among)  # the params only point to it
        params.sel = selector
    scores, numbers = index.search(vector.reshape(1, -1), count, params=params)
    known = numbers[0] >= 0
    return numbers[0][known], scores[0][known]
