"""Contract suite for providers: the behavior that every provider must have, tested against its fake.

    class TestAcme(ProviderContract):
        fake = FakeAcme

pytest collects the tests of the subclass. The suite itself needs only the standard library; a test that does not
apply to a provider raises unittest.SkipTest. The provider is opened through its entry point.

- `harness`: opens fake and provider for each test;
- `submissions`, `statuses`, `files`, `cancellation`, `recovery`, `webhooks`: the tests.
"""

from callsheet.testing.provider_contract.cancellation import CancellationContract
from callsheet.testing.provider_contract.files import FileContract
from callsheet.testing.provider_contract.recovery import RecoveryContract
from callsheet.testing.provider_contract.statuses import StatusContract
from callsheet.testing.provider_contract.submissions import SubmissionContract
from callsheet.testing.provider_contract.webhooks import WebhookContract

__all__ = ["ProviderContract"]


class ProviderContract(
    SubmissionContract, StatusContract, FileContract, CancellationContract, RecoveryContract, WebhookContract
):
    """All tests. A subclass sets `fake` to the fake of its provider."""
