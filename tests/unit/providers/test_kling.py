from callsheet.testing.provider_contract import ProviderContract
from callsheet.testing.providers.kling import KlingStandIn


class TestKling(ProviderContract):
    stand_in = KlingStandIn
