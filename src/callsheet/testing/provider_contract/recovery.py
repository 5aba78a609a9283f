"""Contract of `find_submission`: recovery of a submission whose response was lost."""

from datetime import UTC, datetime, timedelta

from callsheet.domain.errors import SubmissionUnknown
from callsheet.fakes.providers.faults import CutConnection
from callsheet.testing.provider_contract.harness import Case, ContractTests, expect_error, require

_LONG_AGO = timedelta(hours=1)


class RecoveryContract(ContractTests):
    """Tests of `find_submission`."""

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


async def _submit_another(case: Case) -> None:
    given = {**case.server.example_request().input, "prompt": "Another one"}
    await case.provider.submit(case.server.example_request(input=given))
