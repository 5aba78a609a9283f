"""ComfyUI servers, and the managed server that a worker starts."""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, Field

from callsheet.domain.durations import Duration


class ComfyUISettings(BaseModel):
    """ComfyUI servers, and the managed server that a worker starts."""

    comfyui_api_url: str | None = Field(
        None,
        description="URLs of ComfyUI servers, separated by commas; capacity and tags follow in the fragment: "
        "`http://gpu1:8188#capacity=2&tags=wan+flux`. Unset: `http://127.0.0.1:8188`, or only the managed server if "
        "COMFYUI_PATH is set",
    )
    comfyui_client_id: str = Field(
        "callsheet",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Prefix of the client ids sent to ComfyUI; each connection has a unique id",
    )
    comfyui_timeout_ms: int = Field(
        120_000,
        ge=1,
        description="Milliseconds that an answer of ComfyUI may take",
    )
    comfyui_poll_interval_ms: int = Field(
        5_000,
        ge=1,
        description="Milliseconds after which ComfyUI is asked how a prompt stands when its websocket tells nothing",
    )
    comfyui_max_poll_attempts: int | None = Field(
        None,
        ge=1,
        description="Times the poll interval is how long a prompt may take; unset: as long as the job may",
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
        description="Folder with the code of ComfyUI. If set, a worker starts a managed ComfyUI server when a job needs it",
    )
    comfyui_python: Path | None = Field(
        None,
        description="Python interpreter for the managed server; unset: `.venv` or `venv` in COMFYUI_PATH, else `python3` "
        "on the PATH",
    )
    comfyui_base_dir: Path | None = Field(
        None,
        description="Folder with models, custom nodes and files of the managed server; unset: `comfyui` in the data folder",
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
