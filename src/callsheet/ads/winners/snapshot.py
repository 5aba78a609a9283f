"""What a search looks at: an index, and the changes since it was built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from callsheet.ads.winners.index import nearest
from callsheet.ads.winners.index_file import StoredIndex

if TYPE_CHECKING:
    from callsheet.ads.winners.index import Numbers
    from callsheet.embeddings.contract import Vectors

_MIN_CHANGES = 64
"""Changes that are compared one by one, without a new index."""
_MAX_CHANGED_SHARE = 0.1

Hit = tuple[int, float]
"""The number of a winner, and the cosine of its angle to what was searched."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The winners of a tenant as of a version. It is never changed: a search keeps the one it began with."""

    id: UUID
    """Of the tenant's index."""
    version: int
    stored: StoredIndex | None
    changed: "Numbers"
    """Numbers of all winners that were changed, or deleted, since the index was built."""
    numbers: "Numbers"
    """Those of them that can be found…"""
    vectors: "Vectors"
    """…and their vectors."""
    counts: Mapping[str, int]
    """Winners by embedding model."""

    @property
    def is_due(self) -> bool:
        """Whether there are so many changes that an index should be built."""
        count = 0 if self.stored is None else self.stored.count
        return len(self.changed) >= max(_MIN_CHANGES, count * _MAX_CHANGED_SHARE)

    @property
    def size(self) -> int:
        """Numbers of a vector; 0 without any."""
        return self.vectors.shape[1] if len(self.vectors) or self.stored is None else self.stored.size

    def with_changes(self, rows: Sequence[Mapping[str, Any]], version: int, counts: Mapping[str, int]) -> "Snapshot":
        """Return the snapshot as of a later version. Of a number that is twice in `rows`, the last counts. Blocks."""
        import numpy as np

        latest = {row["number"]: row["vector"] for row in rows}
        changed = np.fromiter(latest, np.int64, len(latest))
        numbers, vectors = vectors_of(list(latest.items()))
        kept = ~np.isin(self.numbers, changed)
        if len(numbers) and len(self.numbers):
            numbers = np.concatenate([self.numbers[kept], numbers])
            vectors = np.concatenate([self.vectors[kept], vectors])
        elif len(self.numbers):
            numbers, vectors = self.numbers[kept], self.vectors[kept]
        merged = np.union1d(self.changed, changed)
        return replace(self, version=version, changed=merged, numbers=numbers, vectors=vectors, counts=counts)

    def nearest(self, vector: "Vectors", count: int, among: "Sequence[int] | None" = None) -> list[Hit]:
        """Return the winners that are nearest to a vector, best first; `among` limits them to these. Blocks."""
        import numpy as np

        hits: list[Hit] = []
        if self.stored is not None and self.stored.count:
            # Some of the best may have been changed since.
            wanted = min(self.stored.count, count + len(self.changed))
            selected = None if among is None else np.asarray(among, np.int64)
            numbers, scores = nearest(self.stored.index, vector, wanted, selected)
            kept = ~np.isin(numbers, self.changed)
            hits += zip(numbers[kept].tolist(), scores[kept].tolist(), strict=True)
        searched = slice(None) if among is None else np.isin(self.numbers, among)
        numbers = self.numbers[searched]
        if len(numbers):
            scores = self.vectors[searched] @ vector
            best = np.argpartition(-scores, min(count, len(scores) - 1))[:count]
            hits += zip(numbers[best].tolist(), scores[best].tolist(), strict=True)
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:count]


def new_snapshot(id: UUID, stored: StoredIndex | None) -> Snapshot:
    """Return the snapshot of an index without changes; without an index, an empty one."""
    import numpy as np

    none, version = np.empty(0, np.int64), 0 if stored is None else stored.version
    return Snapshot(id, version, stored, none, none, np.empty((0, 0), np.float32), {})


def vectors_of(pairs: Sequence[tuple[int, bytes | None]]) -> tuple["Numbers", "Vectors"]:
    """Return the numbers and vectors of rows, without those that have none."""
    import numpy as np

    found = [(number, vector) for number, vector in pairs if vector is not None]
    numbers = np.fromiter((number for number, _ in found), np.int64, len(found))
    vectors = np.frombuffer(b"".join(vector for _, vector in found), "<f4").astype(np.float32)
    return numbers, vectors.reshape(len(found), -1) if found else np.empty((0, 0), np.float32)
