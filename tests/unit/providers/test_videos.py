from callsheet.testing.provider_contract import ProviderContract
from callsheet.testing.providers.videos import VideosStandIn


class TestVideos(ProviderContract):
    stand_in = VideosStandIn
