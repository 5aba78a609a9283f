"""A provider, connected to its fake."""

from contextlib import asynccontextmanager

from callsheet.providers.catalog import discover_providers
from callsheet.providers.contract import InputFile
from callsheet.settings import Settings


@asynccontextmanager
async def opened(fake_class, folder, provider_settings=None, **settings):
    """Yield the fake and the provider that is connected to it."""
    general = Settings(_env_file=None, data_dir=folder, **settings)
    async with fake_class() as fake:
        own = fake.provider_settings(**(provider_settings or {}))
        async with discover_providers(general, provider_settings=[own]) as providers:
            yield fake, providers[fake.name]


async def status_after(fake, provider, *stages):
    """Submit a task and return its status at the last of these stages."""
    fake.script(*stages)
    task = await provider.submit(fake.example_request())
    return [await provider.get_status(task) for _ in stages][-1]


def image_in(folder, data=b"an image", url=None):
    path = folder / "image.png"
    path.write_bytes(data)
    return InputFile(path, "image/png", url)
