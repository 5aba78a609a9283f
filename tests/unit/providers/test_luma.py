from callsheet.testing.provider_contract import ProviderContract
from callsheet.testing.providers.luma import LumaStandIn


class TestLuma(ProviderContract):
    stand_in = LumaStandIn
