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
