"""Runner of the contract tests: opens fake and provider for each test, and expands parametrized tests."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar, Generic, TypeVar
from unittest import SkipTest

from callsheet.domain.errors import CallsheetError
from callsheet.fakes.providers.fake_server import FakeServer
from callsheet.fakes.providers.task_script import Stage, Succeeded, sample_video
from callsheet.fakes.providers.webhook_receiver import WebhookReceiver, open_webhook_receiver
from callsheet.providers.catalog import discover_providers
from callsheet.providers.contract import Output, Provider, TaskStatus
from callsheet.settings import Settings

E = TypeVar("E", bound=BaseException)
C = TypeVar("C", bound=type)


@dataclass(frozen=True, slots=True)
class Case:
    """What a contract test works with."""

    server: FakeServer
    provider: Provider
    """The provider, connected to `server`."""
    stranger: WebhookReceiver
    """A server that does not belong to the provider."""
    folder: Path

    @asynccontextmanager
    async def open_provider(self, **settings: Any) -> AsyncIterator[Provider]:
        """Open the provider with other settings, connected to `server`."""
        async with _open_provider(self.server, self.folder, **settings) as provider:
            yield provider

    async def status_at(self, stage: Stage) -> TaskStatus:
        """Submit a task and return its status at a stage."""
        self.server.script(stage)
        return await self.provider.get_status(await self.provider.submit(self.server.example_request()))

    async def downloadable_output(self, provider: Provider | None = None) -> Output:
        """Return an output with a URL at the fake; skips the test if the provider returns inline files."""
        self.server.script(Succeeded((sample_video(),)))
        provider = provider or self.provider
        status = await provider.get_status(await provider.submit(self.server.example_request()))
        if status.outputs[0].url is None:
            raise SkipTest("returns files inline")
        return status.outputs[0]


Test = Callable[..., Awaitable[None]]


class ContractTests:
    """Base class of the parts of the suite. `async def test_…(self, case)` becomes a test without arguments."""

    fake: ClassVar[type[FakeServer]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, function in list(vars(cls).items()):
            if name.startswith("test_") and asyncio.iscoroutinefunction(function):
                _expand(cls, name, function)


def for_each(**parameters: Mapping[str, Any]) -> Callable[[Test], Test]:
    """Repeat a test for each value of a parameter: `@for_each(status={"400": 400, "404": 404})`."""
    [(name, values)] = parameters.items()

    def mark(test: Test) -> Test:
        test.values = {label: {name: value} for label, value in values.items()}  # type: ignore[attr-defined]
        return test

    return mark


class Caught(Generic[E]):
    """The error that `expect_error` caught."""

    error: E


@contextmanager
def expect_error(*kinds: type[E], text: str = "") -> Iterator[Caught[E]]:
    """Require that the block raises an error of one of these classes, with `text` in its message."""
    caught: Caught[E] = Caught()
    try:
        yield caught
    except kinds as error:
        assert text in str(error), f"'{text}' is not in: {error}"
        caught.error = error
    else:
        raise AssertionError(f"{' or '.join(kind.__name__ for kind in kinds)} was not raised")


def all_text(error: CallsheetError) -> str:
    """Return everything that an error contains, to search it for secrets."""
    return f"{error!r} {error.message} {error.facts} {error.__cause__!r}"


def require(condition: object, otherwise: str) -> None:
    """Skip the test unless the condition holds."""
    if not condition:
        raise SkipTest(otherwise)


def _expand(cls: type[ContractTests], name: str, function: FunctionType) -> None:
    """Replace an async test function by a plain test method, or by one for each value of its parameter."""
    delattr(cls, name)
    for label, arguments in getattr(function, "values", {"": {}}).items():
        suffix = re.sub(r"\W+", "_", label).strip("_")
        test_name = f"{name}__{suffix}" if suffix else name
        setattr(cls, test_name, _plain_test(test_name, function, arguments))


def _plain_test(name: str, function: FunctionType, arguments: Mapping[str, Any]) -> Callable[[ContractTests], None]:
    # Without functools.wraps: pytest would read the signature of the wrapped function and look for fixtures.
    def test(self: ContractTests) -> None:
        async def run() -> None:
            with tempfile.TemporaryDirectory(prefix="callsheet-contract-") as folder:
                async with (
                    self.fake() as server,
                    _open_provider(server, Path(folder)) as provider,
                    open_webhook_receiver() as stranger,
                ):
                    await function(self, Case(server, provider, stranger, Path(folder)), **arguments)

        asyncio.run(run())

    test.__name__, test.__doc__, test.__module__ = name, function.__doc__, function.__module__
    return test


@asynccontextmanager
async def _open_provider(server: FakeServer, folder: Path, **changes: Any) -> AsyncIterator[Provider]:
    settings = Settings(_env_file=None, **{"data_dir": folder / "data", **changes})
    async with discover_providers(settings, provider_settings=[server.provider_settings()]) as providers:
        yield providers[server.name]
