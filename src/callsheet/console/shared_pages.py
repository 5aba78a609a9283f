"""Event streams of pages that many people have open: what they show is read and rendered once for all of them."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass

from fastapi import Request, Response

from callsheet.console.fragments import ChangedFragments, Fragment, RenderedFragments
from callsheet.console.responses import csrf_token, form_token, stream_response
from callsheet.console.session import FormToken
from callsheet.console.shared_reads import SharedReads
from callsheet.db.outages import TRANSIENT_ERRORS

TOKEN_MARK = secrets.token_hex(32)
"""Marks the place of the token of forms in pages that callers share. It is secret: no text contains it."""

Render = Callable[[FormToken], Awaitable[list[Fragment]]]
"""Reads and renders the fragments of a page, with a token for their forms."""
ReadVersion = Callable[[], Awaitable[Hashable]]
"""Reads a value that changes with the page, faster than the page itself."""


def shared_stream(
    request: Request, render: Render, *, every: float, of: Hashable = (), version: ReadVersion | None = None
) -> Response:
    """Return the event stream of a page that is read again every `every` seconds, and sends what has changed.

    All open pages of the same path and the same `of` share the reads of a process: there is one in each interval,
    however many pages are open. Callers of the same scopes share what is rendered, with a mark for the token of their
    forms. With `version`, the page is read only when its version is another one.

    ```python
    return shared_stream(request, lambda token: rows(runtime, filters, token), every=2.0, of=repr(filters))
    ```
    """
    scopes = frozenset(request.state.caller.scopes)
    page = _Page(request, render, every, (request.url.path, of, scopes), version)
    return stream_response(request, page.messages())


@dataclass(frozen=True, slots=True)
class _Found:
    began: float
    """When the read began, as `time.monotonic()`."""
    version: Hashable


@dataclass(frozen=True, slots=True)
class _Rendered(_Found):
    parts: RenderedFragments


class _Page:
    """One open page."""

    def __init__(
        self, request: Request, render: Render, every: float, key: Hashable, version: ReadVersion | None
    ) -> None:
        self._shared: SharedReads = request.app.state.shared_reads
        self._token = str(csrf_token(request))
        self._marked = form_token(request, TOKEN_MARK)
        self._render = render
        self._every = every
        self._key = key
        self._read_version = version
        # What was read before the page was opened may be older than what the page has.
        self._opened_at = time.monotonic()

    async def messages(self) -> AsyncIterator[str]:
        """Yield the changed parts as they change."""
        changed, shown = ChangedFragments(), None
        while True:
            try:
                version = await self._version()
                if shown is None or version is None or shown.version != version:
                    shown = await self._rendered(version)
                    for data in changed.changes(shown.parts):
                        yield f"data: {data.replace(TOKEN_MARK, self._token)}\n\n"
            except TRANSIENT_ERRORS:
                yield ": database unavailable, retrying\n\n"
            await asyncio.sleep(self._every)

    async def _version(self) -> Hashable:
        if self._read_version is None:
            return None
        read_version = self._read_version

        async def read() -> _Found:
            began = time.monotonic()
            return _Found(began, await read_version())

        found = await self._shared.get(("version", self._key), read, is_fresh=self._is_fresh, keep=self._every)
        return found.version

    async def _rendered(self, version: Hashable) -> _Rendered:
        """Return the page of a version, or of a later one."""

        async def read() -> _Rendered:
            began = time.monotonic()
            return _Rendered(began, version, RenderedFragments(await self._render(self._marked)))

        def is_fresh(found: _Rendered) -> bool:
            return found.version == version and self._is_fresh(found)

        return await self._shared.get(("page", self._key), read, is_fresh=is_fresh, keep=self._every)

    def _is_fresh(self, found: _Found) -> bool:
        return found.began >= self._opened_at
