"""ComfyUI servers, and the managed server that a worker starts."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from callsheet.domain.durations import Duration
from callsheet.domain.text_form import TextForm
from callsheet.settings.aliases import POLLS


class ComfyUISettings(BaseModel):
    """ComfyUI servers, and the managed server that a worker starts."""

    comfyui_api_url: str | None = Field(
        None,
        description="URLs of ComfyUI servers, separated by commas; capacity and tags follow in the fragment: "
        "`http://gpu1:8188#capacity=2&tags=wan+flux`. Unset: `http://127.0.0.1:8188`, or only the managed server if "
        "COMFYUI_PATH is set",
    )
    comfyui_client_id: Annotated[
        str, TextForm(r"^[A-Za-z0-9_.-]{1,64}$", "1 to 64 letters, digits, '_', '.' and '-'")
    ] = Field(
        "callsheet",
        description="Prefix of the client ids sent to ComfyUI; each connection has a unique id",
    )
    comfyui_timeout: Duration = Field(
        timedelta(minutes=2),
        gt=timedelta(0),
        description="Timeout of a request to a ComfyUI server. `COMFYUI_TIMEOUT_MS` is in milliseconds",
    )
    comfyui_away_limit: Duration = Field(
        timedelta(minutes=1),
        gt=timedelta(0),
        description="Time for which the server of a running prompt may be away until the prompt moves to another one "
        "that responds; a quarter of it if the connection is refused. Without another server, the job waits",
    )
    comfyui_silence_limit: Duration = Field(
        timedelta(minutes=5),
        gt=timedelta(0),
        description="Time without a message of a running prompt after which its job says so, and its server gets no "
        "more jobs until the next sign of life. The prompt is not stopped: `timeLimit` does that",
    )
    comfyui_poll_interval: Duration = Field(
        timedelta(seconds=5),
        gt=timedelta(0),
        description="Longest time between two polls of a prompt while the websocket is silent. "
        "`COMFYUI_POLL_INTERVAL_MS` is in milliseconds",
    )
    comfyui_prompt_timeout: Duration | None = Field(
        None,
        gt=timedelta(0),
        description="Timeout of one prompt; unset: the timeout of the job. `COMFYUI_MAX_POLL_ATTEMPTS` is a number of "
        "poll intervals",
    )
    comfyui_workflows: Path | None = Field(
        None,
        description="Folder with stored workflows: `<name>.json` with its inputs in `<name>.inputs.yaml`; unset: only "
        "workflows of installed packages",
    )
    comfyui_video_workflow_json: str | None = Field(
        None,
        description="Default graph in API format, as JSON or the path of a file, for ComfyUI jobs without a workflow; "
        "nodes of the job are merged into it, field by field",
    )
    comfyui_path: Path | None = Field(
        None,
        description="Folder with the code of ComfyUI. If set, a worker starts a managed ComfyUI server when a job "
        "needs it",
    )
    comfyui_python: Path | None = Field(
        None,
        description="Python interpreter for the managed server; unset: `.venv` or `venv` in COMFYUI_PATH, else "
        "`python3` on the PATH",
    )
    comfyui_base_dir: Path | None = Field(
        None,
        description="Folder with models, custom nodes and files of the managed server; unset: `comfyui` in the data "
        "folder",
    )
    comfyui_args: str = Field("", description="Additional arguments of the managed server, such as `--lowvram`")
    comfyui_start_timeout: Duration = Field(
        timedelta(minutes=5),
        description="Timeout for the start of the managed server",
    )
    comfyui_free_after: Duration = Field(
        timedelta(minutes=2),
        description="Time without jobs after which the managed server unloads its models",
    )
    comfyui_stop_after: Duration = Field(
        timedelta(minutes=15),
        description="Time without jobs after which the managed server is stopped",
    )
    comfyui_keep_files_for: Duration = Field(
        timedelta(hours=24),
        description="Time after which files of jobs are removed from the folders `input` and `output` of the managed "
        "server; results are in the storage",
    )
    comfyui_models_max_bytes: int | None = Field(
        None,
        ge=1,
        description="Maximum size of all models that `callsheet comfyui models pull` has downloaded, in bytes; beyond "
        "it, the least recently used ones are removed. Unset: no limit",
    )
    comfyui_models_keep_for: Duration = Field(
        timedelta(hours=24), description="Time since its last use for which a pulled model is never removed"
    )

    @field_validator("comfyui_prompt_timeout", mode="before")
    @classmethod
    def _polls_to_duration(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str) or not value.endswith(POLLS):
            return value
        if not re.fullmatch("[0-9]{1,9}", count := value.removesuffix(POLLS)):
            raise ValueError("COMFYUI_MAX_POLL_ATTEMPTS must be a whole number")
        # Fields are validated in the order of their declaration, so the poll interval is known here.
        return int(count) * info.data.get("comfyui_poll_interval", timedelta(0))
