"""ComfyUI: servers to use, and the server that a worker starts itself."""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, Field

from callsheet.domain.durations import Duration


class ComfyUISettings(BaseModel):
    """ComfyUI servers, and the ComfyUI that a worker runs itself."""

    comfyui_api_url: str | None = Field(
        None,
        description="ComfyUI servers, separated by commas; what a server is like may follow its address: "
        "`http://gpu1:8188#capacity=2&tags=wan+flux`. Unset: `http://127.0.0.1:8188`, or none but our own where "
        "COMFYUI_PATH is set",
    )
    comfyui_client_id: str = Field(
        "callsheet",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="How client ids begin that we give to ComfyUI; each connection has one of its own",
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
        description="Folder with stored ComfyUI workflows: `<name>.json`, and `<name>.inputs.yaml` beside it",
    )
    comfyui_video_workflow_json: str | None = Field(
        None,
        description="Graph in API format, as JSON or the path of a file, for ComfyUI jobs that name no workflow; "
        "a job's own nodes are merged into it, field by field",
    )
    comfyui_path: Path | None = Field(
        None,
        description="Folder with ComfyUI's own code; a worker then runs it itself when a job needs it",
    )
    comfyui_python: Path | None = Field(
        None,
        description="The Python that has what ComfyUI needs; unset: that of `.venv` or `venv` in its folder, "
        "else `python3` on the PATH",
    )
    comfyui_base_dir: Path | None = Field(
        None,
        description="Folder with the models, custom nodes and files of our own ComfyUI; unset: `comfyui` in the "
        "data folder",
    )
    comfyui_args: str = Field("", description="Further flags for our own ComfyUI: `--lowvram`")
    comfyui_start_timeout: Duration = Field(
        timedelta(minutes=5),
        description="How long our own ComfyUI may take to answer after its start",
    )
    comfyui_free_after: Duration = Field(
        timedelta(minutes=2),
        description="Our own ComfyUI unloads its models when it had no job for this long",
    )
    comfyui_stop_after: Duration = Field(
        timedelta(minutes=15),
        description="Our own ComfyUI is stopped when it had no job for this long",
    )
