"""The data folder, the database and the scratch space."""

import hashlib
import os
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from callsheet.domain.durations import Duration
from callsheet.domain.text_form import TextForm
from callsheet.settings.folders import default_data_dir


class InstallationSettings(BaseModel):
    """Folders and database of this installation."""

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder of the embedded database, the local files and the signing key",
    )
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL server to use; unset: an embedded PostgreSQL 18 in the data folder"
    )
    database_schema: Annotated[
        str,
        TextForm(r"^(?!pg_|information_schema$)[a-z_][a-z0-9_]{0,39}$", "a name of lower-case letters, digits and _"),
    ] = Field(
        "callsheet",
        description="Schema of all tables, created by `callsheet db upgrade`. Installations with different schemas can "
        "share a database",
    )
    database_read_url: SecretStr | None = Field(
        None,
        description="Read replicas of the PostgreSQL server, for lists, searches and counts of servers; several hosts "
        "take turns. Unset: all reads go to `CALLSHEET_DATABASE_URL`",
    )
    database_read_max_lag: Duration = Field(
        timedelta(seconds=5),
        ge=timedelta(seconds=1),
        description="Time that a read replica may be behind; beyond it, the primary answers",
    )
    database_pool_size: int = Field(8, ge=2, description="Maximum number of database connections of each process")
    work_dir: Path | None = Field(
        None,
        description="Folder for the scratch space of running jobs, which may be shared, such as `/tmp`: this user and "
        "data folder have a folder of their own in it. Unset: `work` in the data folder",
    )
    render_dir: Path | None = Field(
        None,
        description="The same for jobs of the queue `render` alone, for example on a larger disk. Finished videos are "
        "in the storage, not here. Unset: as for all jobs",
    )
    preview_dir: Path | None = Field(
        None, description="The same for jobs of the queue `preview` alone. Unset: as for all jobs"
    )
    models_dir: Path | None = Field(
        None, description="Folder of model files, for `upscale` and `interpolate`; unset: `models` in the data folder"
    )

    @property
    def models_folder(self) -> Path:
        """Folder of model files."""
        return self.models_dir or self.data_dir / "models"

    @cached_property
    def scratch_dir(self) -> Path:
        """Folder of the working files of running jobs."""
        # Absolute, because FFmpeg runs with this folder as its working directory.
        return (self.data_dir / "work").absolute() if self.work_dir is None else self._own_folder(self.work_dir)

    @property
    def scratch_dirs(self) -> tuple[Path, ...]:
        """All folders of working files, without duplicates."""
        return tuple(dict.fromkeys([self.scratch_dir, self.scratch_dir_of("render"), self.scratch_dir_of("preview")]))

    def scratch_dir_of(self, queue: str) -> Path:
        """Return the folder of the working files of jobs of a queue."""
        folder = {"render": self.render_dir, "preview": self.preview_dir}.get(queue)
        return self.scratch_dir if folder is None else self._own_folder(folder)

    def _own_folder(self, folder: Path) -> Path:
        """Return the folder of this user and data folder in one that others may use, too."""
        digest = hashlib.sha256(os.fsencode(self.data_dir.absolute())).hexdigest()[:8]
        return folder.absolute() / f"callsheet-{os.geteuid()}-{digest}"

    @property
    def winners_dir(self) -> Path:
        """Folder of the indexes of winning ads. They can be deleted: they are built again."""
        return self.data_dir / "winners"

    @property
    def files_dir(self) -> Path:
        """Folder of the artifacts when no bucket is set."""
        return self.data_dir / "files"
