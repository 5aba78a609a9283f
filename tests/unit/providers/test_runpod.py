from callsheet.testing.provider_contract import ProviderContract
from callsheet.testing.providers.runpod import RunPodStandIn


class TestRunPod(ProviderContract):
    stand_in = RunPodStandIn
