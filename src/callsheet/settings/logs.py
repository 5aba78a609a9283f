"""Logs."""

from pydantic import BaseModel, Field


class LogSettings(BaseModel):
    """Format and level of the log."""

    log_level: str = Field(
        "info",
        pattern=r"^(debug|info|warning|error)$",
        description="Minimum level of log lines: `debug`, `info`, `warning` or `error`",
    )
    log_json: bool = Field(False, description="Write each log line as a JSON object")
