'''Callsheet: the self-hosted backend of an AI video product.

A whole program, with an operation of its own:

    import callsheet

    class Clip(callsheet.Model):
        video: callsheet.Artifact

    class Cut(callsheet.Model):
        seconds: float = 2

    @callsheet.operation("test-card", needs={"ffmpeg"})
    async def test_card(job: callsheet.Context, params: Cut) -> Clip:
        """Film a test card."""
        card = job.dir / "card.mp4"
        await job.ffmpeg.run(["-f", "lavfi", "-i", f"testsrc2=d={params.seconds}", str(card)])
        return Clip(video=await job.keep(card))

    plan = {"jobs": [{"id": "card", "operation": "test-card", "params": {"seconds": 1}}]}
    execution = callsheet.run(plan, operations=[test_card], out="films")
    print(execution.status, [artifact.name for artifact in execution.artifacts])

Jobs, results and files are kept in an embedded PostgreSQL and a folder of the user, or where the settings say.
'''

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callsheet.domain.artifacts import Artifact
    from callsheet.domain.errors import CallsheetError, ConfigurationError, JobError, PlanRefused, Transient
    from callsheet.domain.media_source import MediaSource
    from callsheet.domain.model import Model
    from callsheet.domain.records import Event, Execution
    from callsheet.local import arun, run
    from callsheet.operation.contract import Context, operation
    from callsheet.settings import Settings

__all__ = [  # noqa: RUF022 - in groups
    # Writing an operation
    "operation",
    "Context",
    "Model",
    "MediaSource",
    "Artifact",
    # Running a plan
    "run",
    "arun",
    "Settings",
    # What comes of it
    "Execution",
    "Event",
    # What can go wrong
    "CallsheetError",
    "PlanRefused",
    "JobError",
    "Transient",
    "ConfigurationError",
]

_HOMES = {
    "domain.artifacts": ["Artifact"],
    "domain.errors": ["CallsheetError", "PlanRefused", "JobError", "Transient", "ConfigurationError"],
    "domain.media_source": ["MediaSource"],
    "domain.model": ["Model"],
    "domain.records": ["Event", "Execution"],
    "local": ["run", "arun"],
    "operation.contract": ["Context", "operation"],
    "settings": ["Settings"],
}
"""Fetched when first used: who only declares an operation need not wait for a database driver."""


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(f"callsheet.{home}"), name)
            return found
    raise AttributeError(f"module 'callsheet' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
