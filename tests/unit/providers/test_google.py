from callsheet.testing.provider_contract import ProviderContract
from callsheet.testing.providers.google import GoogleStandIn


class TestGoogle(ProviderContract):
    stand_in = GoogleStandIn
