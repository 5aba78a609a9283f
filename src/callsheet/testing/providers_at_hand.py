"""Providers that a test brings along."""

from collections.abc import Iterable

from callsheet.domain.errors import SetupError
from callsheet.providers.contract import Provider


class ProvidersAtHand:
    """Gives providers by name, as the catalog of installed ones does."""

    def __init__(self, providers: Iterable[Provider] = ()) -> None:
        self._by_name = {provider.name: provider for provider in providers}

    def get(self, name: str) -> Provider:
        """Return a provider; raises SetupError for one that was not brought along."""
        try:
            return self._by_name[name]
        except KeyError:
            raise SetupError(
                f"There is no provider '{name}'; there are {', '.join(self._by_name) or 'none'}."
            ) from None

    async def close(self) -> None:
        """Close them all."""
        for provider in self._by_name.values():
            await provider.close()
