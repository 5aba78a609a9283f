"""Search winners by a text, or by an example."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from pydantic import Field

from callsheet.ads.winners.creatives import CreativeFacts
from callsheet.ads.winners.filters import WinnerFilter
from callsheet.ads.winners.indexes import Read, WinnerIndexes
from callsheet.domain.errors import BadInput, NotFound
from callsheet.domain.model import Model
from callsheet.embeddings.contract import Embedder

MAX_OFFSET = 1000


class Winner(CreativeFacts):
    """An indexed creative."""

    ad_id: str
    look: str | None = Field(description="How its frames look, in words; null without a video or picture")
    indexed_at: datetime = Field(description="Of its newest change")


class WinnerMatch(Winner):
    """A creative that was found."""

    score: float = Field(description="Cosine of the angle between the vectors: 1 is the same direction")


class WinnerPage(Model):
    """What a search found."""

    winners: list[WinnerMatch] = Field(description="Most similar first")
    total: int = Field(
        description="Winners of the tenant that were searched: those with the wanted properties. Each has a score, "
        "however low"
    )
    outdated: int = Field(
        description="Winners that were not searched, because another embedding model made their vectors. Run "
        "`index-winners` without creatives"
    )
    next_offset: int | None = Field(description="`offset` of the next page; null: this is the last one")


@dataclass(frozen=True, slots=True)
class WinnerQuery:
    """What is searched: a text, or what is like a winner."""

    tenant: str
    text: str | None = None
    like: str | None = None
    limit: int = 10
    offset: int = 0
    conditions: WinnerFilter | None = None
    """Which winners are searched; None: all."""


async def search_winners(read: Read, indexes: WinnerIndexes, embedder: Embedder, query: WinnerQuery) -> WinnerPage:
    """Return the winners of a tenant that are most similar to a text or to one of them.

    Raises NotFound for a winner that is not there, BadInput for one of another model, NotConfigured, and the errors of
    the embedding model.
    """
    model = await embedder.name()
    own: int | None = None
    if query.like is not None:
        vector, own = await _vector_of(read, query.tenant, query.like, model)
    else:
        vector = (await embedder.embed([query.text or ""]))[0]
    wanted = query.offset + query.limit + 1
    found = await indexes.search(read, query.tenant, model, vector, wanted + (own is not None), query.conditions)
    hits = [hit for hit in found.hits if hit[0] != own]
    page = hits[query.offset : query.offset + query.limit]
    rows = await read("get_winners", tenant=query.tenant, numbers=[number for number, _ in page])
    by_number = {row["number"]: row for row in rows}
    has_more = len(hits) >= wanted and query.offset + query.limit <= MAX_OFFSET
    return WinnerPage(
        winners=[
            WinnerMatch(**winner_fields(by_number[number]), score=round(score, 4))
            for number, score in page
            if number in by_number  # deleted in this moment
        ],
        total=found.total,
        outdated=found.outdated,
        next_offset=query.offset + query.limit if has_more else None,
    )


def winner_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `Winner` from its row."""
    facts = orjson.loads(row["facts"])
    return {**facts, "ad_id": row["ad"], "look": row["look"], "indexed_at": row["indexed_at"]}


async def find_winner(read: Read, tenant: str, ad: str) -> Mapping[str, Any]:
    """Return the row of a winner. Raises NotFound."""
    rows: Sequence[Mapping[str, Any]] = await read("get_winner", tenant=tenant, ad=ad)
    if not rows:
        raise NotFound(f"The tenant '{tenant}' has no winner '{ad}'.")
    return rows[0]


async def _vector_of(read: Read, tenant: str, ad: str, model: str) -> tuple[Any, int]:
    import numpy as np

    row = await find_winner(read, tenant, ad)
    if row["model"] != model:
        raise BadInput(
            f"The winner '{ad}' was indexed with another embedding model; run index-winners without creatives."
        )
    return np.frombuffer(row["vector"], "<f4"), row["number"]
