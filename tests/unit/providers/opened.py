"""A provider beside its stand-in."""

from contextlib import asynccontextmanager

from callsheet.providers.catalog import discover_providers
from callsheet.providers.contract import InputFile


@asynccontextmanager
async def opened(kind, folder, **settings):
    """Yield the stand-in and the provider that is led to it."""
    async with kind() as there, discover_providers(there.opened_settings(data_dir=folder, **settings)) as providers:
        yield there, providers[there.name]


async def ended(there, provider, *stages):
    """Order, and return the look at the last of these stages."""
    there.script(*stages)
    task = await provider.submit(there.example_request())
    looks = [await provider.get_status(task) for _ in stages]
    return looks[-1]


def picture_in(folder, data=b"a picture", url=None):
    path = folder / "picture.png"
    path.write_bytes(data)
    return InputFile(path, "image/png", url)
