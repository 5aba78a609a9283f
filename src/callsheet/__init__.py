'''Callsheet: a self-hosted backend for AI video products.

A complete program with a custom operation:

    import callsheet

    class Clip(callsheet.Model):
        video: callsheet.Artifact

    class CardParams(callsheet.Model):
        seconds: float = 2

    @callsheet.operation("test-card", needs={"ffmpeg"})
    async def test_card(job: callsheet.Context, params: CardParams) -> Clip:
        """Make a video of a test card."""
        card = job.dir / "card.mp4"
        await job.ffmpeg.run(["-f", "lavfi", "-i", f"testsrc2=d={params.seconds}", str(card)])
        return Clip(video=await job.keep(card))

    plan = {"jobs": [{"id": "card", "operation": "test-card", "params": {"seconds": 1}}]}
    execution = callsheet.run(plan, operations=[test_card], out="videos")
    print(execution.status, [artifact.name for artifact in execution.artifacts])

Jobs and results are stored in an embedded PostgreSQL, and files in a folder of the user, unless the settings name
another database or storage.
'''

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callsheet.client.client import Client
    from callsheet.client.errors import RequestFailed, Unreachable, WaitTimeout
    from callsheet.client.sync_client import SyncClient
    from callsheet.domain.artifacts import Artifact
    from callsheet.domain.errors import (
        CallsheetError,
        ConfigurationError,
        InvalidState,
        JobError,
        NotFound,
        PlanRefused,
        Transient,
        Unauthorized,
    )
    from callsheet.domain.events import Event
    from callsheet.domain.media_source import MediaSource
    from callsheet.domain.model import Model
    from callsheet.domain.records import Execution
    from callsheet.local import arun, run
    from callsheet.operation_api.blocking_context import BlockingContext, JobStopped
    from callsheet.operation_api.contract import Context, operation
    from callsheet.settings import Settings

__all__ = [  # noqa: RUF022 - in groups
    # Operations
    "operation",
    "Context",
    "BlockingContext",
    "JobStopped",
    "Model",
    "MediaSource",
    "Artifact",
    # Running plans
    "run",
    "arun",
    "Settings",
    # Using a running server
    "Client",
    "SyncClient",
    # Results
    "Execution",
    "Event",
    # Errors
    "CallsheetError",
    "PlanRefused",
    "JobError",
    "Transient",
    "ConfigurationError",
    "NotFound",
    "InvalidState",
    "Unauthorized",
    "RequestFailed",
    "Unreachable",
    "WaitTimeout",
]

_MODULES = {
    "client.client": ["Client"],
    "client.errors": ["RequestFailed", "Unreachable", "WaitTimeout"],
    "client.sync_client": ["SyncClient"],
    "domain.artifacts": ["Artifact"],
    "domain.errors": [
        "CallsheetError",
        "PlanRefused",
        "JobError",
        "Transient",
        "ConfigurationError",
        "NotFound",
        "InvalidState",
        "Unauthorized",
    ],
    "domain.events": ["Event"],
    "domain.media_source": ["MediaSource"],
    "domain.model": ["Model"],
    "domain.records": ["Execution"],
    "local": ["run", "arun"],
    "operation_api.blocking_context": ["BlockingContext", "JobStopped"],
    "operation_api.contract": ["Context", "operation"],
    "settings": ["Settings"],
}
"""Names by module. They are imported on first use, so that declaring an operation does not load a database driver."""


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"callsheet.{module}"), name)
            return value
    raise AttributeError(f"module 'callsheet' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
