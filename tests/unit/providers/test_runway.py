from callsheet.testing.provider_contract import ProviderContract
from callsheet.testing.providers.runway import RunwayStandIn


class TestRunway(ProviderContract):
    stand_in = RunwayStandIn
