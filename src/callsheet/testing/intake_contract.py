"""Contract suite for intakes: the behavior that every intake must have, tested against its real source.

    class TestAcme(IntakeContract):
        source = AcmeSource          # starts a server, sends messages, and reads what was reported

pytest collects the tests of the subclass. They are asynchronous: use pytest-asyncio in its mode `auto`. By default each
test has an embedded database; set `database_url` to use another one.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from callsheet.intake.contract import Intake
from callsheet.intake.runner import IntakeRunner
from callsheet.settings import Settings
from callsheet.testing.engine import Engine, running_engine
from callsheet.testing.intake_process import CRASH_POINTS, CRASH_VARIABLE
from callsheet.testing.operations import ALL

T = TypeVar("T")
_TIMEOUT = 90.0
"""Seconds for anything that should happen soon, on a busy machine."""


class Ended(NamedTuple):
    """The end of a message, as its source knows it."""

    status: Literal["succeeded", "failed"]
    text: str
    """The result or the error, as text."""
    reports: int
    """Number of times that an end was reported."""


class IntakeSource(ABC):
    """A real source with a client of its own. Used as an async context manager."""

    intake: ClassVar[type[Intake]]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """A folder for its files."""

    async def __aenter__(self) -> "IntakeSource":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Return the settings of the intake."""

    @abstractmethod
    async def send(self, plan: Mapping[str, Any]) -> str:
        """Send a message that becomes this plan. Return its id."""

    @abstractmethod
    async def send_malformed(self) -> list[str]:
        """Send malformed and hostile messages. Return the ids of those whose rejection can be read with `ended`."""

    @abstractmethod
    async def ended(self, message_id: str) -> Ended | None:
        """Return the end of a message, or None if it has not ended."""

    @abstractmethod
    async def deliver_again(self, message_id: str) -> None:
        """Deliver an open message a second time, as after a lost claim."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop the server at once."""

    @abstractmethod
    async def start(self) -> None:
        """Start the server again, with its data."""


class IntakeContract:
    """All tests. A subclass sets `source`."""

    source: ClassVar[type[IntakeSource]]
    database_url: str | None = None
    reports_once: ClassVar[bool] = True
    """Whether an end is reported exactly once if no process is killed."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["OpenedSource"]:
        """Open the source and an engine."""
        with tempfile.TemporaryDirectory(prefix="callsheet-intake-") as folder:
            async with self.source(Path(folder)) as source:
                settings = Settings(
                    _env_file=None,
                    data_dir=Path(folder) / "data",
                    database_url=self.database_url,
                    intake_lease=2,
                    **source.settings(),
                )
                async with running_engine(ALL, settings=settings) as engine:
                    opened = OpenedSource(source, engine)
                    try:
                        yield opened
                    finally:
                        await opened.stop_all()

    async def test_a_message_becomes_an_execution_and_its_end_is_reported(self) -> None:
        """The result arrives at the source."""
        async with self.opened() as opened:
            opened.start_intake()
            message_id = await opened.source.send(_plan("noop", value="hello"))
            ended = await opened.end_of(message_id)
            assert ended.status == "succeeded"
            assert ended.reports == 1 or not self.reports_once
            assert await opened.count("executions") == 1

    async def test_a_failed_execution_is_reported_with_its_error(self) -> None:
        """The source receives the text of the error."""
        async with self.opened() as opened:
            opened.start_intake()
            message_id = await opened.source.send(_plan("fail", times=9, message="out of paint", transient=False))
            ended = await opened.end_of(message_id)
            assert ended.status == "failed"
            assert "out of paint" in ended.text

    async def test_invalid_messages_are_rejected_and_the_intake_goes_on(self) -> None:
        """One bad message stops nothing, and its sender learns the reason."""
        async with self.opened() as opened:
            opened.start_intake()
            refused = await opened.source.send({"jobs": [{"id": "a", "operation": "no-such-operation"}]})
            malformed = await opened.source.send_malformed()
            good = await opened.source.send(_plan("noop", value=1))
            assert (await opened.end_of(good)).status == "succeeded"
            ended = await opened.end_of(refused)
            assert ended.status == "failed"
            assert "no-such-operation" in ended.text
            for message_id in malformed:
                assert (await opened.end_of(message_id)).status == "failed"
            assert await opened.count("executions") == 1

    async def test_a_message_that_is_delivered_twice_joins_its_execution(self) -> None:
        """A second delivery starts nothing."""
        async with self.opened() as opened:
            opened.start_intake()
            gate = opened.source.folder / "gate"
            message_id = await opened.source.send(_plan("block", until=str(gate)))
            await opened.until_count("executions", 1)
            await opened.source.deliver_again(message_id)
            await asyncio.sleep(2)
            gate.touch()
            assert (await opened.end_of(message_id)).status == "succeeded"
            assert await opened.count("executions") == 1

    async def test_an_end_while_the_source_is_away_is_reported_when_it_is_back(self) -> None:
        """Neither a message nor a report is lost, and none is run twice."""
        async with self.opened() as opened:
            opened.start_intake()
            gate = opened.source.folder / "gate"
            sent = [await opened.source.send(_plan("block", until=str(gate))) for _ in range(5)]
            await opened.until_count("executions", 5)
            await opened.source.stop()
            gate.touch()
            await opened.until_count("executions WHERE status = 'succeeded'", 5)
            await asyncio.sleep(1)
            await opened.source.start()
            for message_id in sent:
                assert (await opened.end_of(message_id)).status == "succeeded"
            later = await opened.source.send(_plan("noop", value=1))
            assert (await opened.end_of(later)).status == "succeeded"
            assert await opened.count("executions") == 6

    async def test_a_process_killed_at_any_step_loses_and_doubles_nothing(self) -> None:
        """Each process is killed at a step of the message that was sent for it; the last one finishes all."""
        async with self.opened() as opened:
            sent = {}
            for point in CRASH_POINTS:
                process = opened.start_process(point)
                sent[point] = await opened.source.send(_plan("noop", value=point))
                await asyncio.wait_for(asyncio.to_thread(process.wait), _TIMEOUT)
                assert process.returncode == -signal.SIGKILL, f"{point}: ended with {process.returncode}"
            opened.start_intake()
            ends = {point: await opened.end_of(message_id) for point, message_id in sent.items()}
            executions = await opened.count("executions")
            print(
                f"killed at {len(sent)} steps: {executions} executions, {sum(e.reports for e in ends.values())} reports"
            )
            assert {point: end.status for point, end in ends.items()} == dict.fromkeys(sent, "succeeded")
            assert executions == len(sent)
            await opened.until_count("intake_messages WHERE closed_at IS NULL", 0)

    async def test_open_messages_are_left_to_the_next_process_at_a_stop(self) -> None:
        """A restart of the intake neither waits for executions nor starts them again."""
        async with self.opened() as opened:
            first = opened.start_intake()
            gate = opened.source.folder / "gate"
            message_id = await opened.source.send(_plan("block", until=str(gate)))
            await opened.until_count("executions", 1)
            began = time.monotonic()
            await opened.stop_intake(first)
            assert time.monotonic() - began < 30
            opened.start_intake()
            gate.touch()
            assert (await opened.end_of(message_id)).status == "succeeded"
            assert await opened.count("executions") == 1


class OpenedSource:
    """A source, an engine, and the intakes of a test."""

    def __init__(self, source: IntakeSource, engine: Engine) -> None:
        self.source = source
        self.engine = engine
        self._running: dict[IntakeRunner, asyncio.Task[None]] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def start_intake(self) -> IntakeRunner:
        """Start an intake in this process."""
        runner = IntakeRunner(self.source.intake, self.engine.runtime)
        self._running[runner] = asyncio.create_task(runner.run())
        return runner

    async def stop_intake(self, runner: IntakeRunner) -> None:
        """Stop an intake as SIGTERM does. Raises its error."""
        runner.stop()
        await self._running.pop(runner)

    def start_process(self, crash_point: str) -> "subprocess.Popen[bytes]":
        """Start an intake process that kills itself at a point."""
        settings = self.engine.runtime.settings
        values = settings.model_dump(mode="json", exclude_unset=True)
        values |= {name: str(value) for name, value in self.source.settings().items()}
        if settings.database_url is not None:
            values["database_url"] = settings.database_url.get_secret_value()
        environment = {f"CALLSHEET_{name.upper()}": str(value) for name, value in values.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "callsheet.testing.intake_process", _path_of(self.source.intake)],
            env={**os.environ, **environment, CRASH_VARIABLE: crash_point},
        )
        self._processes.append(process)
        return process

    async def stop_all(self) -> None:
        """Stop everything that runs."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
        for runner in list(self._running):
            await self.stop_intake(runner)

    async def end_of(self, message_id: str) -> Ended:
        """Wait for the end of a message."""
        return await self._until(lambda: self.source.ended(message_id), lambda ended: ended is not None)

    async def count(self, rows: str) -> int:
        """Return the number of rows of a table, with an optional condition."""
        async with self.engine.runtime.database.connection() as connection:
            return int(await connection.fetchval(f"SELECT count(*) FROM {rows}"))  # noqa: S608 - the tests' own text

    async def until_count(self, rows: str, expected: int) -> None:
        """Wait for a number of rows."""
        await self._until(lambda: self.count(rows), lambda found: found == expected)

    async def _until(self, read: Callable[[], Awaitable[T | None]], matches: Callable[[T | None], bool]) -> T:
        deadline = time.monotonic() + _TIMEOUT
        while True:
            for task in self._running.values():
                if task.done():
                    task.result()
            found = await read()
            if found is not None and matches(found):
                return found
            assert time.monotonic() < deadline, f"waited {_TIMEOUT:g} s, last seen: {found!r}"
            await asyncio.sleep(0.05)


def _plan(operation: str, **params: Any) -> dict[str, Any]:
    return {"jobs": [{"id": "a", "operation": operation, "params": params}]}


def _path_of(kind: type[Intake]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
