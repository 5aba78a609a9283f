"""What the next clean-up deletes: executions, temporary files of all machines, and files that nothing names."""

from datetime import datetime

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.model import Model
from callsheet.domain.retention import RetentionRules
from callsheet.engine.retention.clean_up import CleanUp, preview_clean_up
from callsheet.engine.retention.orphans import OrphanSearch, find_orphan_search


class MachineFiles(Model):
    """The temporary files of a machine, in bytes, and what the clean-up there removes."""

    host: str
    folder: str
    """Scratch spaces, separated by colons."""
    measured_at: datetime
    bytes: int
    live_bytes: int
    """Of it, what live processes have."""
    removable_files: int
    removable_bytes: int
    max_bytes: int
    cleaned_at: datetime | None
    """The last clean-up that has removed something."""
    removed_files: int
    removed_bytes: int


class TemporaryFilesPreview(Model):
    """What the machines remove of their temporary files."""

    files: int
    bytes: int
    machines: list[MachineFiles]


class CleanUpPreview(CleanUp):
    """What a clean-up deletes. The numbers at the top are those of executions and their files."""

    temporary_files: TemporaryFilesPreview
    orphans: OrphanSearch | None
    """The newest search for files that nothing names; null: the storage was never searched."""


async def preview_everything(database: Database, rules: RetentionRules) -> CleanUpPreview:
    """Return what a clean-up would delete now. Temporary files are as the machines have measured them last."""
    executions = await preview_clean_up(database, rules)
    machines = [MachineFiles(**row) for row in await database.retry(sql.list_scratch_spaces, timeout=30)]
    temporary = TemporaryFilesPreview(
        files=sum(machine.removable_files for machine in machines),
        bytes=sum(machine.removable_bytes for machine in machines),
        machines=machines,
    )
    return CleanUpPreview(
        **executions.model_dump(by_alias=False),
        temporary_files=temporary,
        orphans=await find_orphan_search(database),
    )
