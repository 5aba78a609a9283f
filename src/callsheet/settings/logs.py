"""Logs."""

from typing import Annotated

from pydantic import BaseModel, Field

from callsheet.domain.text_form import TextForm


class LogSettings(BaseModel):
    """Format and level of the log."""

    log_level: Annotated[str, TextForm(r"^(debug|info|warning|error)$", "debug, info, warning or error")] = Field(
        "info",
        description="Minimum level of log lines: `debug`, `info`, `warning` or `error`",
    )
    log_json: bool = Field(False, description="Write each log line as a JSON object")
    job_log_max_lines: int = Field(
        10_000, ge=0, description="Maximum number of stored log lines of each run of a job; the rest is dropped"
    )
    job_log_max_bytes: int = Field(
        2**20, ge=0, description="Maximum size of the stored log of each run of a job, in bytes; the rest is dropped"
    )
