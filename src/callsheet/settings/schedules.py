"""Schedules."""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, Field

from callsheet.domain.durations import Duration


class ScheduleSettings(BaseModel):
    """Schedules."""

    schedules_file: Path | None = Field(
        None,
        description="YAML file with schedules by name. A server stores them when it starts, and deletes those that "
        "were in the file before",
    )
    schedule_history: Duration = Field(
        timedelta(days=90), gt=timedelta(0), description="Time that the history of schedules is kept"
    )
