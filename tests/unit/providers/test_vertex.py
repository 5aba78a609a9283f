from callsheet.testing.provider_contract import ProviderContract
from callsheet.testing.providers.vertex import VertexStandIn


class TestVertex(ProviderContract):
    stand_in = VertexStandIn
