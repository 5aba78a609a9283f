"""API keys are checked by requests that cost nothing."""

import pytest

from callsheet.domain.errors import ProviderUnreachable
from callsheet.fakes.providers.all import FAKES
from callsheet.providers.catalog import discover_providers
from callsheet.settings import Settings

from .opened import opened

WRONG = "a-wrong-key-0123456789abcdef-wrong"
kinds = pytest.mark.parametrize("kind", FAKES, ids=lambda kind: kind.name)


async def rejection(provider, fake):
    request = provider.free_request(fake.model)
    assert request is not None
    return await provider.rejection_of_key(request)


@kinds
async def test_a_key_is_accepted_rejected_or_unknown_and_nothing_is_submitted(kind, tmp_path):
    async with opened(kind, tmp_path) as (fake, provider):
        valid = await rejection(provider, fake)
        field = next(name for name, value in fake.settings().items() if value == fake.key)
        changed = fake.provider_settings(**{field: WRONG})
        async with discover_providers(
            Settings(_env_file=None, data_dir=tmp_path), provider_settings=[changed]
        ) as found:
            invalid = await rejection(found[fake.name], fake)
        submitted = fake.tasks
        await fake.__aexit__(None, None, None)
        with pytest.raises(ProviderUnreachable):
            await rejection(provider, fake)

    assert valid is None
    assert invalid is not None
    assert invalid.startswith(("401", "403", "400 API key not valid"))
    assert WRONG not in invalid
    assert not submitted


async def test_runpod_needs_the_id_of_an_endpoint(tmp_path):
    kind = next(kind for kind in FAKES if kind.name == "runpod")
    async with opened(kind, tmp_path) as (_, provider):
        assert provider.free_request(None) is None
