"""Find winning ads that are similar to a text, a winner or an example."""

from datetime import timedelta

from pydantic import ConfigDict, Field, model_validator

from callsheet.ads.identifiers import DEFAULT_TENANT, Identifier
from callsheet.ads.winners.creatives import CreativeContent, embedded_text
from callsheet.ads.winners.filters import WinnerFilter
from callsheet.ads.winners.indexes import WinnerIndexes
from callsheet.ads.winners.search import MAX_OFFSET, WinnerPage, WinnerQuery, search_winners
from callsheet.domain.model import Model
from callsheet.embeddings.engines import find_embedder
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.winner_looks import look_of


class FindWinnersParams(Model):
    """What to search: give one of `query`, `like` and `example`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "a mother packs for the beach"}]})

    tenant_id: Identifier = DEFAULT_TENANT
    query: str | None = Field(None, min_length=1, max_length=5000)
    like: Identifier | None = Field(None, description="Id of an indexed ad")
    example: CreativeContent | None = Field(None, description="Another creative, also one that is only a file")
    conditions: WinnerFilter = Field(
        WinnerFilter(), alias="filter", description="Which winners are searched; nothing: all of the tenant"
    )
    limit: int = Field(10, ge=1, le=100)
    offset: int = Field(0, ge=0, le=MAX_OFFSET)

    @model_validator(mode="after")
    def _check_one_subject(self) -> "FindWinnersParams":
        if sum(each is not None for each in (self.query, self.like, self.example)) != 1:
            raise ValueError("give one of query, like and example")
        return self


@operation("find-winners", queue="default", timeout=timedelta(minutes=5), needs={"ffmpeg", "search"})
async def find_winners(job: Context, params: FindWinnersParams) -> WinnerPage:
    """Find the winning ads that are most similar to a text, to one of them, or to an example such as a video."""
    text = params.query
    if params.example is not None:
        text = embedded_text(params.example.facts(), await look_of(job, params.example.src, "example.src"))
    query = WinnerQuery(params.tenant_id, text, params.like, params.limit, params.offset, params.conditions)
    indexes = WinnerIndexes(job.settings.winners_dir)
    try:
        page = await search_winners(job.store.read, indexes, find_embedder(job.settings), query)
        await indexes.built()
    finally:
        await indexes.close()
    return page
