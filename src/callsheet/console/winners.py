"""Search of winning ads, by a text, by one of them, or by a picture."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BeforeValidator
from starlette.datastructures import UploadFile

from callsheet.ads.identifiers import DEFAULT_TENANT, Identifier
from callsheet.ads.winners.creatives import embedded_text
from callsheet.ads.winners.filters import WinnerFilter, read_filter
from callsheet.ads.winners.reads import reader
from callsheet.ads.winners.search import MAX_OFFSET, WinnerPage, WinnerQuery, search_winners
from callsheet.console.filter_fields import OR_NONE, in_utc, query_of
from callsheet.console.responses import RuntimeDep, check_token, page_response
from callsheet.domain.errors import BadInput, NotConfigured, NotFound
from callsheet.embeddings.engines import find_embedder
from callsheet.operations.winner_looks import read_example
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/winners")

_PAGE_SIZE = 20
_CHUNK = 64 * 1024
_Words = Annotated[str, Query(max_length=2000)]


@dataclass(frozen=True, slots=True)
class SearchForm:
    """The fields of the form, as they were sent. In tags, attributes and metrics, commas separate conditions."""

    tags: str
    attributes: str
    metrics: str
    indexed_after: datetime | None
    indexed_before: datetime | None
    tenant: str
    q: str | None
    like: str | None

    def conditions(self) -> WinnerFilter:
        """Return which winners are searched. Raises BadParams."""
        return read_filter(
            tags=_parts(self.tags),
            attributes=_parts(self.attributes),
            metrics=_parts(self.metrics),
            indexed_after=in_utc(self.indexed_after),
            indexed_before=in_utc(self.indexed_before),
        )


async def _form(
    tags: _Words = "",
    attributes: _Words = "",
    metrics: _Words = "",
    indexed_after: Annotated[datetime | None, OR_NONE, Query(alias="indexedAfter")] = None,
    indexed_before: Annotated[datetime | None, OR_NONE, Query(alias="indexedBefore")] = None,
    tenant: Annotated[Identifier, BeforeValidator(lambda value: value or DEFAULT_TENANT)] = DEFAULT_TENANT,
    q: Annotated[str | None, Query(max_length=5000), OR_NONE] = None,
    like: Annotated[Identifier | None, OR_NONE] = None,
) -> SearchForm:
    return SearchForm(tags, attributes, metrics, indexed_after, indexed_before, tenant, q, like)


Form = Annotated[SearchForm, Depends(_form)]


@router.get("")
async def page(
    request: Request, runtime: RuntimeDep, form: Form, offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0
) -> Response:
    """Show the winners that are most similar to a text or to one of them. If both are given, `like` counts."""
    found, problem = None, None
    if form.q or form.like:
        try:
            text = None if form.like else form.q
            query = WinnerQuery(form.tenant, text, form.like, _PAGE_SIZE, offset, form.conditions())
            found = await _search(runtime, query)
        except (BadInput, NotConfigured, NotFound) as error:
            problem = str(error)
    return _response(request, form, found, problem)


@router.post("")
async def by_picture(request: Request, runtime: RuntimeDep, form: Form) -> Response:
    """Show the winners that look most like a picture. The conditions of the form are in the query of the URL."""
    found, problem = None, None
    async with request.form(max_files=1, max_fields=5) as fields:
        check_token(request, str(fields.get("token", "")))
        try:
            chunks = _chunks(fields)
            look = await read_example(runtime.settings, chunks, "picture", turns=request.app.state.picture_turns)
            query = WinnerQuery(form.tenant, embedded_text({}, look), limit=_PAGE_SIZE, conditions=form.conditions())
            found = await _search(runtime, query)
        except (BadInput, NotConfigured) as error:
            problem = str(error)
        else:
            form = replace(form, q=None, like=None)
    return _response(request, form, found, problem, look=None if problem else look, status=422 if problem else 200)


def _response(
    request: Request,
    form: SearchForm,
    found: WinnerPage | None,
    problem: str | None,
    *,
    look: str | None = None,
    status: int = 200,
) -> Response:
    more = found.next_offset if found and look is None else None
    return page_response(
        request,
        "winners.html",
        status=status,
        found=found,
        problem=problem,
        form=form,
        look=look,
        conditions_query=query_of(request, q=None, like=None, offset=None),
        more_query=None if more is None else query_of(request, offset=more),
    )


async def _search(runtime: Runtime, query: WinnerQuery) -> WinnerPage:
    embedder = find_embedder(runtime.settings)
    return await search_winners(reader(runtime.database), runtime.winners, embedder, query)


async def _chunks(fields: Mapping[str, Any]) -> AsyncIterator[bytes]:
    picture = fields.get("picture")
    while isinstance(picture, UploadFile) and (chunk := await picture.read(_CHUNK)):
        yield chunk


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
