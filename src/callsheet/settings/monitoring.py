"""Metrics, and the monitoring server of workers."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from callsheet.domain.durations import Duration
from callsheet.domain.text_form import TextForm

DEFAULT_MONITOR_PORT = 3031


class MonitoringSettings(BaseModel):
    """Metrics, and where workers show them."""

    metrics_open: bool = Field(False, description="Serve `/metrics` without a key")
    metrics_replaced_names: bool = Field(
        True,
        description="Also show metrics under the names of the systems that Callsheet replaces: `worker_…`, and "
        "those with the prefix below",
    )
    metrics_prefix: Annotated[
        str, TextForm(r"^(?!callsheet_)([a-zA-Z_:][a-zA-Z0-9_:]{0,60})?$", "a prefix of letters, digits, _ and :")
    ] = Field(
        "influencerai_worker_",
        description="Prefix of `queue_jobs_waiting`, `queue_jobs_failed` and `job_duration_seconds`; not `callsheet_`",
    )
    scaling_target_wait: Duration = Field(
        timedelta(seconds=30),
        ge=timedelta(0),
        description="Time in which a queued job should start, for the number of workers that a queue should have",
    )
    monitor_host: str = Field("127.0.0.1", description="Address that the monitoring server of a worker listens on")
    monitor_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of the monitoring server of a worker; each worker process of a machine needs its own. "
        f"Unset: {DEFAULT_MONITOR_PORT} if a console user and password are set and the port is free, else no server",
    )
