from callsheet.testing.provider_contract import ProviderContract
from callsheet.testing.providers.fal import FalStandIn


class TestFal(ProviderContract):
    stand_in = FalStandIn
