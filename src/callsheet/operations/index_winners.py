"""Index winning ads: store their facts with vectors, so that similar ones are found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import orjson
from pydantic import Field, field_validator

from callsheet.ads.identifiers import DEFAULT_TENANT, Identifier
from callsheet.ads.winners.creatives import Creative, digest_of, embedded_text
from callsheet.domain.model import Model
from callsheet.embeddings.contract import Embedder
from callsheet.embeddings.engines import find_embedder
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.winner_looks import look_of

_MAX_CREATIVES = 200
_MAX_RENEWED = 500
"""Vectors of another model that one run makes again."""
_BATCH = 50
"""Texts between two reports of progress."""


class IndexWinnersParams(Model):
    """The creatives to index."""

    tenant_id: Identifier = DEFAULT_TENANT
    creatives: list[Creative] = Field(
        [],
        max_length=_MAX_CREATIVES,
        description="Each replaces what was indexed for its ad. None: make the vectors again that another embedding "
        f"model made, at most {_MAX_RENEWED}",
    )

    @field_validator("creatives")
    @classmethod
    def _check_ads(cls, creatives: list[Creative]) -> list[Creative]:
        ads = [each.ad_id for each in creatives]
        if twice := sorted({ad for ad in ads if ads.count(ad) > 1}):
            raise ValueError(f"each ad can be given once; given more often: {', '.join(twice[:10])}")
        return creatives


class IndexedCreative(Model):
    """What was done with a creative."""

    ad_id: str
    status: Literal["indexed", "unchanged"] = Field(description="`unchanged`: it was indexed with the same facts")
    look: str | None = Field(description="How its frames look, in words; null without a video or picture")


class IndexWinnersResult(Model):
    """What was indexed."""

    tenant_id: str
    model: str = Field(description="Embedding model of the vectors")
    indexed: int
    unchanged: int
    remaining: int = Field(description="Winners whose vectors are still of another model; run again without creatives")
    creatives: list[IndexedCreative]


@dataclass(frozen=True, slots=True)
class _Entry:
    ad: str
    facts: dict[str, Any]
    look: str | None
    digest: str


@operation(
    "index-winners",
    queue="default",
    timeout=timedelta(minutes=10),
    needs={"ffmpeg", "search"},
    aliases=["auto_index_winner", "auto_index_winners"],
)
async def index_winners(job: Context, params: IndexWinnersParams) -> IndexWinnersResult:
    """Index winning ads by their facts and looks, so that similar ones are found by a text or an example."""
    tenant = params.tenant_id
    embedder = find_embedder(job.settings)
    model = await embedder.name()
    counts = {row["model"]: row["winners"] for row in await job.store.read("count_winners", tenant=tenant)}
    outdated = sum(count for name, count in counts.items() if name != model)
    if params.creatives:
        entries = [await _entry(job, place, creative) for place, creative in enumerate(params.creatives)]
        stored = await job.store.read("get_winner_digests", tenant=tenant, ads=[entry.ad for entry in entries])
        known = {row["ad"]: row["digest"] for row in stored if row["model"] == model}
        pending = [entry for entry in entries if known.get(entry.ad) != entry.digest]
        outdated -= len(stored) - len(known)
    else:
        pending = entries = await _outdated(job, tenant, model)
        outdated -= len(pending)
    vectors = await _vectors(job, embedder, pending)
    if pending:
        _write(job, tenant, model, pending, vectors, renewed=not params.creatives)
    changed = {entry.ad for entry in pending}
    return IndexWinnersResult(
        tenant_id=tenant,
        model=model,
        indexed=len(pending),
        unchanged=len(entries) - len(pending),
        remaining=max(0, outdated),
        creatives=[
            IndexedCreative(ad_id=entry.ad, status="indexed" if entry.ad in changed else "unchanged", look=entry.look)
            for entry in entries
        ],
    )


async def _entry(job: Context, place: int, creative: Creative) -> _Entry:
    look = await look_of(job, creative.src, f"creatives[{place}].src")
    facts = creative.facts()
    return _Entry(creative.ad_id, facts, look, digest_of(facts, look))


async def _outdated(job: Context, tenant: str, model: str) -> list[_Entry]:
    """Return stored creatives whose vectors are of another model."""
    rows = await job.store.read("outdated_winners", tenant=tenant, model=model, max_rows=_MAX_RENEWED)
    return [_Entry(row["ad"], orjson.loads(row["facts"]), row["look"], row["digest"]) for row in rows]


async def _vectors(job: Context, embedder: Embedder, entries: Sequence[_Entry]) -> bytes:
    """Return the vectors of creatives, one after the other."""
    vectors = b""
    for start in range(0, len(entries), _BATCH):
        batch = entries[start : start + _BATCH]
        found = await embedder.embed([embedded_text(entry.facts, entry.look) for entry in batch])
        vectors += found.astype("<f4").tobytes()
        done = start + len(batch)
        job.progress(done / len(entries), f"{done} of {len(entries)} embedded")
    return vectors


def _write(job: Context, tenant: str, model: str, entries: Sequence[_Entry], vectors: bytes, *, renewed: bool) -> None:
    job.store.write_with_completion(
        "store_winners",
        lock=f"ads-winners/{tenant}",
        tenant=tenant,
        model=model,
        ads=[entry.ad for entry in entries],
        facts=[orjson.dumps(entry.facts).decode() for entry in entries],
        looks=[entry.look for entry in entries],
        digests=[entry.digest for entry in entries],
        vectors=vectors,
        size=len(vectors) // len(entries),
        renewed=renewed,
    )
