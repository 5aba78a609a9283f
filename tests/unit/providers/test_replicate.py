from callsheet.testing.provider_contract import ProviderContract
from callsheet.testing.providers.replicate import ReplicateStandIn


class TestReplicate(ProviderContract):
    stand_in = ReplicateStandIn
