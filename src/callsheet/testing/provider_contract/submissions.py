"""Contract of `submit`: a submission is sent once, and its outcome is never guessed."""

import base64
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import patch

import httpx2
import orjson

from callsheet.domain.errors import ProviderRateLimited, ProviderUnreachable, SubmissionRejected, SubmissionUnknown
from callsheet.fakes.providers.faults import (
    CutConnection,
    Fail,
    Fault,
    Garble,
    RateLimited,
    Redirect,
    Reject,
    Slow,
    TruncateBody,
)
from callsheet.providers.contract import InputFile
from callsheet.testing.provider_contract.harness import Case, ContractTests, all_text, expect_error, for_each, require

_SHORT_TIMEOUT = httpx2.Timeout(20, read=0.3)
_IMAGE_URL = "https://media.example.org/a.png?sig=1"

_UNKNOWN_OUTCOMES: dict[str, Fault] = {
    "500": Fail(500),
    "502 of a gateway": Fail(502),
    "503 after acceptance": Fail(503, accepted=True),
    "408": Fail(408),
    "cut connection": CutConnection(),
    "cut connection after acceptance": CutConnection(accepted=True),
    "truncated body": TruncateBody(),
    "body is not JSON": Garble(),
    "no task id": Garble(b"{}"),
    "NUL in the task id": Garble(
        b'{"id": "a\\u0000b", "name": "a\\u0000b", "request_id": "a\\u0000b", "data": {"task_id": "a\\u0000b"},'
        b' "code": 0, "status_url": "s", "response_url": "r", "cancel_url": "c"}'
    ),
    "body is not an object": Garble(b'["what", 1, null]'),
    "303": Redirect("/elsewhere", 303),
    "302": Redirect("/elsewhere"),
}


class SubmissionContract(ContractTests):
    """Tests of `submit`."""

    async def test_a_submission_is_sent_once_and_returns_its_task(self, case: Case) -> None:
        """The task can be stored as JSON and contains no secrets."""
        task = await case.provider.submit(case.server.example_request())

        assert (task.provider, task.id) == (case.server.name, *case.server.tasks)
        assert case.server.key.encode() not in orjson.dumps(asdict(task))
        assert case.server.paid == len(case.server.requests_of("submit")) == 1

    @for_each(status={str(status): status for status in (400, 401, 402, 403, 404, 413, 422)})
    async def test_a_rejected_submission_raises_submission_rejected(self, case: Case, status: int) -> None:
        """The message contains the reason of the provider."""
        case.server.inject_faults(submit=[Reject(status, "The prompt is too long.")])

        with expect_error(SubmissionRejected, text="The prompt is too long") as rejected:
            await case.provider.submit(case.server.example_request())

        assert case.server.key not in all_text(rejected.error)
        assert case.server.paid == 0

    @for_each(form={"seconds": "seconds", "date": "date", "milliseconds": "ms"})
    async def test_a_rate_limit_is_reported_with_the_requested_delay(self, case: Case, form: str) -> None:
        """The delay is read in every form."""
        case.server.inject_faults(submit=[RateLimited(20, form)])

        with expect_error(ProviderRateLimited) as limited:
            await case.provider.submit(case.server.example_request())

        delay = limited.error.retry_after
        assert delay is not None and 17 <= delay <= 20
        assert case.server.paid == 0

    async def test_a_rate_limit_without_a_delay_is_reported(self, case: Case) -> None:
        """The response is 429 without a header."""
        case.server.inject_faults(submit=[RateLimited()])

        with expect_error(ProviderRateLimited) as limited:
            await case.provider.submit(case.server.example_request())

        assert limited.error.retry_after is None
        assert (case.server.paid, len(case.server.requests_of("submit"))) == (0, 1)

    async def test_a_refused_connection_raises_provider_unreachable(self, case: Case) -> None:
        """Nothing was sent, so nothing was accepted."""
        request = case.server.example_request()
        async with self.fake() as stopped:
            settings = stopped.provider_settings()
        with patch.object(case.server, "provider_settings", lambda: settings):
            async with case.open_provider() as provider:
                with expect_error(ProviderUnreachable):
                    await provider.submit(request)

    @for_each(fault=_UNKNOWN_OUTCOMES)
    async def test_an_unknown_outcome_raises_submission_unknown(self, case: Case, fault: Fault) -> None:
        """The submission is not repeated."""
        case.server.inject_faults(submit=[fault])

        with expect_error(SubmissionUnknown) as unknown:
            await case.provider.submit(case.server.example_request())

        assert case.server.key not in all_text(unknown.error)
        assert len(case.server.requests_of("submit")) == 1

    async def test_a_timeout_raises_submission_unknown(self, case: Case) -> None:
        """The provider can still accept the submission."""
        case.server.inject_faults(submit=[Slow(60)])

        with patch("callsheet.providers.http.transport._TIMEOUT", _SHORT_TIMEOUT):
            async with case.open_provider() as provider:
                with expect_error(SubmissionUnknown):
                    await provider.submit(case.server.example_request())

        assert len(case.server.requests_of("submit")) == 1

    async def test_a_submission_does_not_follow_redirects(self, case: Case) -> None:
        """Neither the input nor the API key is sent to another server."""
        case.server.inject_faults(submit=[Redirect(case.stranger.url, 307)])

        with expect_error(SubmissionRejected):
            await case.provider.submit(case.server.example_request())

        assert case.stranger.webhooks == []

    async def test_a_file_with_a_url_is_sent_by_url_or_inline(self, case: Case) -> None:
        """Both are permitted."""
        path = _image(case.folder)
        request = case.server.request_with_file(InputFile(path, "image/png", url=_IMAGE_URL))
        require(request, "accepts no files")
        assert request is not None

        await case.provider.submit(request)

        [sent] = case.server.requests_of("submit")
        assert _contains(path.read_bytes(), sent.body) or _IMAGE_URL.encode() in sent.body

    async def test_a_small_file_without_a_url_is_sent_inline(self, case: Case) -> None:
        """If the provider accepts inline files."""
        path = _image(case.folder)
        request = case.server.request_with_file(InputFile(path, "image/png"))
        require(request and case.provider.capabilities.inline_limit, "accepts no inline files")
        assert request is not None

        await case.provider.submit(request)

        [sent] = case.server.requests_of("submit")
        assert _contains(path.read_bytes(), sent.body)

    async def test_all_files_of_a_list_are_sent(self, case: Case) -> None:
        """A list of files is encoded like a single file."""
        first, second = case.folder / "first.png", case.folder / "second.png"
        first.write_bytes(b"first" * 100)
        second.write_bytes(b"second" * 100)
        request = case.server.request_with_file(InputFile(first, "image/png"))
        require(request and case.provider.capabilities.inline_limit, "accepts no inline files")
        assert request is not None

        more = [InputFile(first, "image/png"), InputFile(second, "image/png")]
        await case.provider.submit(replace(request, input={**request.input, "more": more}))

        [sent] = case.server.requests_of("submit")
        assert _contains(second.read_bytes(), sent.body)
        assert b"InputFile" not in sent.body

    async def test_a_too_large_file_without_a_url_is_rejected_before_anything_is_sent(self, case: Case) -> None:
        """The message contains the limit and the setting that makes files available by URL."""
        limit = case.provider.capabilities.inline_limit
        path = case.folder / "large.png"
        with path.open("wb") as file:
            file.truncate(limit + 1)
        request = case.server.request_with_file(InputFile(path, "image/png"))
        require(request, "accepts no files")
        assert request is not None

        with expect_error(SubmissionRejected, text="CALLSHEET_PUBLIC_URL") as rejected:
            await case.provider.submit(request)

        assert f"{limit:,}" in rejected.error.message or not limit
        assert case.server.requests == []


def _image(folder: Path) -> Path:
    path = folder / "image.png"
    path.write_bytes(b"picture" * 100)
    return path


def _contains(data: bytes, body: bytes) -> bool:
    return data in body or base64.b64encode(data) in body
