"""Steps outside of Callsheet: commands and HTTP endpoints that the operator has named."""

from pathlib import Path

from pydantic import BaseModel, Field


class OutsideStepSettings(BaseModel):
    """Steps outside of Callsheet."""

    steps_file: Path | None = Field(
        None,
        description="YAML file with the commands and endpoints that plans may use by name: "
        "[Steps in other languages](steps-in-other-languages.md)",
    )
