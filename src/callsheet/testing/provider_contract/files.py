"""Contract of `fetch`: complete files, from permitted hosts only, and the API key goes to no other host."""

from callsheet.domain.errors import OutputExpired, ProviderFailed, ProviderUnreachable
from callsheet.fakes.providers.faults import CutConnection, Fail, Fault, Flood, Redirect, Reject, TruncateBody
from callsheet.fakes.providers.task_script import Expired, Succeeded, sample_video
from callsheet.testing.provider_contract.harness import Case, ContractTests, expect_error, for_each, require

_INCOMPLETE: dict[str, Fault] = {
    "truncated body": TruncateBody(),
    "shorter than declared": TruncateBody(declared_length=10**9),
    "502": Fail(502),
    "cut connection": CutConnection(),
}


class FileContract(ContractTests):
    """Tests of `fetch`."""

    async def test_deleted_results_are_expired(self, case: Case) -> None:
        """The status or the download reports it."""
        status = await case.status_at(Expired())

        if status.state == "succeeded":
            with expect_error(OutputExpired):
                await case.provider.fetch(status.outputs[0], case.folder / "gone")
        else:
            assert status.state == "lost" or status.code == "output_expired"

    async def test_a_file_on_a_foreign_host_is_not_fetched(self, case: Case) -> None:
        """Whatever URL the response contains."""
        status = await case.status_at(Succeeded((sample_video(url=f"{case.stranger.url}video.mp4"),)))
        require(status.outputs and status.outputs[0].url, "returns no URLs")

        with expect_error(ProviderFailed, OutputExpired):
            await case.provider.fetch(status.outputs[0], case.folder / "foreign")

        assert case.stranger.webhooks == []

    async def test_a_redirect_to_a_private_address_is_not_followed(self, case: Case) -> None:
        """The target is on this machine."""
        output = await case.downloadable_output()
        case.server.inject_faults(download=[Redirect(f"{case.stranger.url}video.mp4")])

        with expect_error(OutputExpired):
            await case.provider.fetch(output, case.folder / "private")

        assert case.stranger.webhooks == []

    async def test_a_redirect_to_another_host_is_followed_without_the_api_key(self, case: Case) -> None:
        """If the settings permit the target."""
        async with case.open_provider(allow_http=True, allow_private_addresses=True) as provider:
            output = await case.downloadable_output(provider)
            case.server.inject_faults(download=[Redirect(f"{case.stranger.url}video.mp4")])

            await provider.fetch(output, case.folder / "elsewhere")

        [received] = case.stranger.webhooks
        assert case.server.key not in str(received)
        assert not {"authorization", "x-goog-api-key"} & set(received.headers)

    @for_each(fault=_INCOMPLETE)
    async def test_an_incomplete_download_leaves_no_file(self, case: Case, fault: Fault) -> None:
        """It can be repeated."""
        output = await case.downloadable_output()
        case.server.inject_faults(download=[fault])
        target = case.folder / "downloads" / "video.mp4"
        target.parent.mkdir()

        with expect_error(ProviderUnreachable):
            await case.provider.fetch(output, target)

        assert list(target.parent.iterdir()) == []
        assert (await case.provider.fetch(output, target)).read_bytes() == sample_video().data

    async def test_a_missing_file_is_expired(self, case: Case) -> None:
        """The response is 404."""
        output = await case.downloadable_output()
        case.server.inject_faults(download=[Reject(404, "Not found.")])

        with expect_error(OutputExpired):
            await case.provider.fetch(output, case.folder / "gone")

    async def test_a_file_above_the_size_limit_is_not_fetched(self, case: Case) -> None:
        """The limit is the setting `source_max_bytes`."""
        async with case.open_provider(source_max_bytes=100_000) as provider:
            output = await case.downloadable_output(provider)
            case.server.inject_faults(download=[Flood(100_001)])

            with expect_error(OutputExpired, text="100,000"):
                await provider.fetch(output, case.folder / "large")

        assert not (case.folder / "large").exists()
