"""Contract of `cancel` and `close`."""

from callsheet.domain.errors import ProviderUnreachable
from callsheet.fakes.providers.faults import Fail
from callsheet.fakes.providers.task_script import Running, Succeeded
from callsheet.testing.provider_contract.harness import Case, ContractTests, expect_error, require


class CancellationContract(ContractTests):
    """Tests of `cancel` and `close`."""

    async def test_a_running_task_is_cancelled(self, case: Case) -> None:
        """If the provider supports it."""
        case.server.script(Running())
        task = await case.provider.submit(case.server.example_request())

        await case.provider.cancel(task)

        assert len(case.server.requests_of("cancel")) == (1 if case.provider.capabilities.cancel else 0)
        if case.provider.capabilities.cancel:
            assert (await case.provider.get_status(task)).state in ("cancelled", "lost")

    async def test_cancelling_an_ended_or_unknown_task_is_no_error(self, case: Case) -> None:
        """There is nothing left to cancel."""
        case.server.script(Succeeded())
        task = await case.provider.submit(case.server.example_request())
        await case.server.finish(task.id)
        await case.provider.cancel(task)

        case.server.tasks.clear()
        await case.provider.cancel(task)

    async def test_a_failed_cancellation_is_reported(self, case: Case) -> None:
        """The caller repeats it."""
        require(case.provider.capabilities.cancel, "cannot cancel")
        case.server.script(Running())
        task = await case.provider.submit(case.server.example_request())
        case.server.inject_faults(cancel=[Fail(503)])

        with expect_error(ProviderUnreachable):
            await case.provider.cancel(task)

    async def test_a_provider_can_be_closed_twice(self, case: Case) -> None:
        """The catalog closes it as well."""
        await case.provider.close()
        await case.provider.close()
