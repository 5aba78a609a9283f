"""The deployment under test: PostgreSQL, S3, an API server, two workers, fake providers and a fake ComfyUI."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from pydantic import SecretStr
from tests.chaos.database import DatabaseServers, Options, start_servers
from tests.chaos.links import Links
from tests.chaos.processes import MARK, Program
from tests.integration.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server

from callsheet.db.upgrade import upgrade
from callsheet.fakes.comfyui import FakeComfyUI, running_comfyui
from callsheet.fakes.providers.fake_server import FakeServer
from callsheet.fakes.providers.luma import FakeLuma
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.webhook_receiver import WebhookReceiver, open_webhook_receiver
from callsheet.settings import Settings
from callsheet.testing.waiters import until

WORKER_TIMEOUT = 5.0
"""Seconds without a heartbeat after which a worker is lost."""
GRACE_PERIOD = 5.0
_LANES = "render=1,transcode=1,preview=1,generate=6,comfyui=2,test=6"
_SCRATCH_BYTES = 48 * 2**20


@dataclass
class System:
    """The parts, and the addresses to reach them directly, without proxies."""

    folder: Path
    mark: str
    settings: Settings
    database: DatabaseServers
    links: Links
    api: Program
    workers: list[Program]
    api_url: str
    providers: dict[str, FakeServer]
    comfyui: FakeComfyUI
    callbacks: WebhookReceiver
    scratch: Path
    has_small_disk: bool
    """Whether the scratch folder of the workers is a small disk that can be filled. Only root can mount one."""
    storage_endpoint: str
    filler: list[Path] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        """The database, without a proxy."""
        return self.database.dsn

    @property
    def programs(self) -> list[Program]:
        """The API server and the workers."""
        return [self.api, *self.workers]

    def fill_disk(self) -> None:
        """Fill the disk of the scratch folder."""
        path = self.scratch.parent / f"filler-{time.monotonic_ns()}"
        with path.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(2**20)):
                    pass
            except OSError:
                self.filler.append(path)

    def free_disk(self) -> None:
        """Remove what fills the disk."""
        while self.filler:
            self.filler.pop().unlink(missing_ok=True)

    async def stop_programs(self) -> list[str]:
        """Stop everything that runs jobs; returns the names of the programs that had to be killed."""
        stopped = await asyncio.gather(*(program.stop(GRACE_PERIOD * 4) for program in self.programs))
        return [program.name for program, ended in zip(self.programs, stopped, strict=True) if not ended]


@asynccontextmanager
async def running_system(folder: Path, options: Options) -> AsyncIterator[System]:
    """Start a deployment in a folder, wait until it works, and stop it at the end."""
    async with AsyncExitStack() as stack:
        system = await _assemble(stack, folder, options)
        for program in system.programs:
            stack.push_async_callback(program.stop, GRACE_PERIOD)
            program.start()
        await _wait_until_ready(system)
        yield system


async def _assemble(stack: AsyncExitStack, folder: Path, options: Options) -> System:
    primary, *standbys = await asyncio.to_thread(start_servers, stack, folder, _free_port, options)
    await upgrade(primary.dsn)
    storage = S3Server(folder)
    stack.callback(storage.kill)
    await asyncio.to_thread(storage.start)

    links = Links(stack)
    database = DatabaseServers(primary, standbys[0] if standbys else None, links)
    await database.open(stack, folder, _free_port, options.pgbouncer)
    providers: dict[str, FakeServer] = {}
    for kind in (FakeReplicate, FakeLuma):
        fake = await stack.enter_async_context(kind(pace=0.7))
        # Clients of the fake, also those that fetch its files, use the address of the link.
        fake.base_url = await links.open_url(kind.name, fake.base_url)
        providers[kind.name] = fake
    comfyui = await stack.enter_async_context(running_comfyui(folder / "comfyui"))
    callbacks = await stack.enter_async_context(open_webhook_receiver())
    api_port = _free_port()
    scratch, has_small_disk = _make_scratch_folder(stack, folder)
    mark = folder.name
    environment = {
        MARK: mark,
        "CALLSHEET_DATA_DIR": str(folder / "data"),
        "CALLSHEET_DATABASE_URL": database.url,
        "CALLSHEET_WORK_DIR": str(scratch),
        "CALLSHEET_SIGNING_KEY": "chaos-signing-key-0123456789abcdef",
        "CALLSHEET_S3_BUCKET": BUCKET,
        "CALLSHEET_S3_ENDPOINT": await links.open_url("storage", storage.endpoint),
        "CALLSHEET_S3_ACCESS_KEY": ACCESS_KEY,
        "CALLSHEET_S3_SECRET_KEY": SECRET_KEY,
        "CALLSHEET_ALLOW_HTTP": "true",
        "CALLSHEET_ALLOW_PRIVATE_ADDRESSES": "true",
        "CALLSHEET_PUBLIC_URL": f"http://127.0.0.1:{await links.open('api', api_port)}",
        "CALLSHEET_HEARTBEAT_INTERVAL": "1",
        "CALLSHEET_WORKER_TIMEOUT": str(WORKER_TIMEOUT),
        "CALLSHEET_RESCUE_INTERVAL": "1",
        "CALLSHEET_POLL_INTERVAL": "3",
        "CALLSHEET_GRACE_PERIOD": str(GRACE_PERIOD),
        # Workers are killed on purpose and often, so this many lost workers prove nothing about a job.
        "CALLSHEET_CRASH_LIMIT": "100",
        "CALLSHEET_PROVIDER_POLL_INITIAL": "1",
        "CALLSHEET_PROVIDER_POLL_MAX": "4",
        "CALLSHEET_SUBMISSION_RECOVERY_TIMEOUT": "10",
        "CALLSHEET_COMFYUI_API_URL": await links.open_url("comfyui", comfyui.url),
        "CALLSHEET_COMFYUI_TIMEOUT": "8",
        "CALLSHEET_COMFYUI_POLL_INTERVAL": "1",
        "CALLSHEET_WEBHOOK_TIMEOUT": "3",
        **{name: value for fake in providers.values() for name, value in fake.environment().items()},
    }
    modules = ["--import", "callsheet.testing.operations"]
    api = Program("api", ["serve", "--port", str(api_port), *modules], environment, folder)
    workers = [
        Program(name, ["worker", "--name", name, "--concurrency", _LANES, *modules], environment, folder)
        for name in ("worker-1", "worker-2")
    ]
    settings = Settings(
        _env_file=None, data_dir=folder / "data", signing_key=SecretStr(environment["CALLSHEET_SIGNING_KEY"])
    )
    return System(
        folder=folder,
        mark=mark,
        settings=settings,
        database=database,
        links=links,
        api=api,
        workers=workers,
        api_url=environment["CALLSHEET_PUBLIC_URL"],
        providers=providers,
        comfyui=comfyui,
        callbacks=callbacks,
        scratch=scratch,
        has_small_disk=has_small_disk,
        storage_endpoint=storage.endpoint,
    )


async def _wait_until_ready(system: System) -> None:
    async with httpx2.AsyncClient(base_url=system.api_url, timeout=5, trust_env=False) as client:

        async def is_ready() -> bool:
            await asyncio.sleep(0.2)
            for program in system.programs:
                assert not program.unexpected_ends, f"{program.name} does not start:\n{program.log_tail()}"
            try:
                response = await client.get("/api/workers")
                return response.status_code == 200 and len(response.json()["workers"]) == len(system.workers)
            except httpx2.HTTPError:
                return False

        await until(is_ready, timeout=90, what="the deployment to start")


def _make_scratch_folder(stack: AsyncExitStack, folder: Path) -> tuple[Path, bool]:
    disk = folder / "scratch"
    disk.mkdir()
    mount = shutil.which("mount")
    options = f"size={_SCRATCH_BYTES},mode=777"
    command = [mount or "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    mounted = mount is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0
    if mounted:
        stack.callback(subprocess.run, ["umount", "--lazy", str(disk)], check=False)
    scratch = disk / "work"
    scratch.mkdir()
    return scratch, mounted


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
