"""Contract of `find_submission` and `list_tasks`: tasks whose submission has no response here, or is not known here."""

from datetime import UTC, datetime, timedelta

from callsheet.domain.errors import ProviderFailed, SubmissionUnknown
from callsheet.fakes.providers.faults import CutConnection
from callsheet.testing.provider_contract.harness import Case, ContractTests, expect_error, require

_LONG_AGO = timedelta(hours=1)


class RecoveryContract(ContractTests):
    """Tests of `find_submission` and `list_tasks`."""

    async def test_an_accepted_submission_without_a_response_is_found(self, case: Case) -> None:
        """A provider that cannot list its tasks raises SubmissionUnknown."""
        await _submit_another(case)
        request, since = case.server.example_request(), datetime.now(UTC) - _LONG_AGO
        case.server.inject_faults(submit=[CutConnection(accepted=True)])
        with expect_error(SubmissionUnknown):
            await case.provider.submit(request)

        if case.provider.capabilities.find_submission:
            task = await case.provider.find_submission(request, since)
            assert task is not None and task.id == list(case.server.tasks)[-1]
            assert not (await case.provider.get_status(task)).ended
        else:
            with expect_error(SubmissionUnknown):
                await case.provider.find_submission(request, since)

    async def test_a_submission_that_was_not_received_is_not_found(self, case: Case) -> None:
        """Another task with a similar input is not returned."""
        require(case.provider.capabilities.find_submission, "cannot list tasks")
        await _submit_another(case)

        since = datetime.now(UTC) - _LONG_AGO
        assert await case.provider.find_submission(case.server.example_request(), since) is None

    async def test_recent_tasks_are_listed(self, case: Case) -> None:
        """A provider that cannot list its tasks raises ProviderFailed, which is not an empty list."""
        since = datetime.now(UTC) - _LONG_AGO
        if not case.provider.capabilities.list_tasks:
            with expect_error(ProviderFailed):
                await case.provider.list_tasks(since)
            return
        for _ in range(3):
            await _submit_another(case)

        listed = await case.provider.list_tasks(since)

        assert {task.id for task in listed} == {*case.server.tasks} and len(listed) == 3
        assert all(task.model and task.status and task.created_at for task in listed)
        assert list(await case.provider.list_tasks(datetime.now(UTC) + _LONG_AGO)) == []


async def _submit_another(case: Case) -> None:
    given = {**case.server.example_request().input, "prompt": "Another one"}
    await case.provider.submit(case.server.example_request(input=given))
