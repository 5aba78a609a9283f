"""Examples of request and response bodies for the OpenAPI document."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from callsheet.comfyui.server_records import DeviceRecord, ServerRecord
from callsheet.domain.artifacts import Probe
from callsheet.domain.event_types import EventType
from callsheet.domain.events import JobProgress
from callsheet.domain.model import Model
from callsheet.domain.records import (
    Execution,
    ExecutionSummary,
    IntakeRecord,
    Job,
    JobLogLine,
    JobProblem,
    OperationRecord,
    PlanCheck,
    QueueRecord,
    StoredArtifact,
    WorkerRecord,
)
from callsheet.domain.resources import (
    CpuUse,
    DiskUse,
    GpuUse,
    MemoryUse,
    ResourcePoint,
    Resources,
    ResourceWarning,
)
from callsheet.domain.scaling import QueueScaling
from callsheet.domain.statuses import ExecutionStatus, JobStatus
from callsheet.providers.listing import ModelRecord, OfferRecord, ParameterRecord

_EXECUTION = UUID("019ab1f0-0000-7000-8000-000000000001")
_JOB = UUID("019ab1f0-0000-7000-8000-000000000002")
_ARTIFACT = UUID("019ab1f0-0000-7000-8000-000000000003")
_WORKER = UUID("019ab1f0-0000-7000-8000-000000000004")
_AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
_LATER = _AT + timedelta(seconds=42)

_Response = dict[str, Any]


def _response(example: Model | _Response, description: str = "Done") -> _Response:
    value = example.model_dump(mode="json") if isinstance(example, Model) else example
    return {"description": description, "content": {"application/json": {"example": value}}}


_PLAN_SCHEMA = {
    "anyOf": [
        {"$ref": "#/components/schemas/Submission"},
        {"$ref": "#/components/schemas/Plan"},
        {"type": "array", "items": {"$ref": "#/components/schemas/PlannedJob"}},
    ]
}

_PLAN = {
    "name": "Trailer",
    "jobs": [
        {
            "id": "trailer",
            "operation": "render",
            "params": {"scenes": [{"src": "https://example.com/opening.mp4", "duration": 4}, {"title": "Soon"}]},
        },
        {"id": "small", "operation": "transcode", "params": {"src": "${trailer.video}"}},
    ],
}

submission: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _PLAN_SCHEMA,
                "examples": {
                    "two-jobs": {
                        "summary": "Render a video, then transcode it",
                        "value": {"executionPlan": _PLAN, "metadata": {"order": "4711"}},
                    },
                    "bare-plan": {"summary": "A plan without further fields", "value": _PLAN},
                    "jobs": {"summary": "A list of jobs", "value": [{"id": "hello", "operation": "render"}]},
                },
            },
            "application/yaml": {
                "schema": _PLAN_SCHEMA,
                "examples": {
                    "one-job": {
                        "summary": "One job",
                        "value": {
                            "executionPlan": {"jobs": [{"id": "hello", "operation": "render", "params": {}}]},
                            "callbackUrl": "https://example.com/hooks/callsheet",
                        },
                    }
                },
            },
        },
    }
}

plan_check = _response(
    PlanCheck(
        valid=False,
        jobs=None,
        estimated_cost=None,
        problems=[
            JobProblem(
                path="executionPlan.jobs[0].operation",
                code="unknown_operation",
                message="unknown operation 'rendr', did you mean 'render'?",
            )
        ],
        count=1,
    )
)
receipt = _response(
    {
        "executionId": str(_EXECUTION),
        "status": "queued",
        "jobs": [{"id": str(_JOB), "jobId": "trailer", "operation": "render", "queue": "render", "status": "queued"}],
        "estimatedCost": {"amount": 0.25, "currency": "USD", "unpricedJobs": []},
        "warnings": [
            {
                "code": "no_lane",
                "message": "No running worker has a lane for the queue 'render'. 1 worker is running, with lanes for "
                "preview.",
                "until": None,
                "facts": {"queue": "render", "operation": "render", "workers": 1, "lanes": ["preview"]},
                "jobs": ["trailer"],
            }
        ],
    },
    "Stored",
) | {
    "headers": {
        "Location": {"description": "Path of the execution", "schema": {"type": "string"}},
        "Idempotent-Replayed": {
            "description": "`true`: the execution was stored by an earlier request with the same Idempotency-Key",
            "schema": {"type": "string"},
        },
    }
}

_ARTIFACT_RECORD = StoredArtifact(
    artifact_id=_ARTIFACT,
    name="video.mp4",
    key=f"render/{_JOB}/video.mp4",
    media_type="video/mp4",
    size=1_482_113,
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    probe=Probe(
        format="mov,mp4,m4a,3gp,3g2,mj2",
        duration=6.0,
        width=1080,
        height=1920,
        fps=30,
        frames=180,
        video_codec="h264",
        pixel_format="yuv420p",
        rotation=0,
        audio_codec="aac",
        audio_channels=2,
        sample_rate=48_000,
        bit_rate=1_970_000,
    ),
    execution_id=_EXECUTION,
    job_id="trailer",
    job_record_id=_JOB,
    created_at=_LATER,
    url=f"http://127.0.0.1:8500/files/{_ARTIFACT}?expires=1795340400&sig=…",
    url_expires_at=_LATER + timedelta(minutes=15),
)

_SUMMARY = ExecutionSummary(
    execution_id=_EXECUTION,
    name="Trailer",
    status=ExecutionStatus.SUCCEEDED,
    progress=1.0,
    job_counts={JobStatus.SUCCEEDED: 1},
    metadata={"order": "4711"},
    created_at=_AT,
    started_at=_AT,
    finished_at=_LATER,
    actions=[],
)

_JOB_RECORD = Job(
    error=None,
    cancel_requested_at=None,
    scheduled_at=None,
    id=_JOB,
    execution_id=_EXECUTION,
    job_id="trailer",
    operation="render",
    queue="render",
    status=JobStatus.SUCCEEDED,
    priority=10,
    progress=1.0,
    progress_message="done",
    params=_PLAN["jobs"][0]["params"],  # type: ignore[index]
    result={"video": {"artifactId": str(_ARTIFACT), "name": "video.mp4"}, "duration": 6.0, "encoder": "libx264"},
    continue_on_failure=False,
    attempts=0,
    max_attempts=3,
    timeout=3600,
    worker="studio-1",
    created_at=_AT,
    queued_at=_AT,
    started_at=_AT,
    finished_at=_LATER,
    actions=[],
)

_QUEUE = QueueRecord(
    rate_limit=30,
    rate_period=60,
    name="render",
    paused=False,
    max_running=4,
    queued=3,
    running=2,
    scheduled=0,
    waiting=0,
    oldest_queued_at=_AT,
    slots=2,
    workers=1,
    started_per_minute=1.2,
    ended_per_minute=1.4,
    duration_p50=41.5,
    duration_p95=118,
    operations=["render"],
)
_SCALING = QueueScaling(
    queue="render",
    desired_workers=3,
    workers=1,
    slots_per_worker=2.0,
    needed_slots=5.0,
    queued=3,
    running=2,
    oldest_wait=41.5,
)

_WORKER_RECORD = WorkerRecord(
    id=_WORKER,
    name="studio-1",
    host="studio",
    pid=4711,
    version="0.1.0",
    lanes={"render": 2, "preview": 4},
    configured_lanes={"render": 2, "preview": 4},
    operations=["preview", "render"],
    running=2,
    started_at=_AT,
    heartbeat_at=_LATER,
    status="working",
    resources=Resources(
        at=_AT,
        host="studio",
        cpu=CpuUse(percent=71.5, count=16, load=11.8),
        memory=MemoryUse(percent=48.2, total=67_108_864_000, available=34_762_391_552, worker=9_663_676_416),
        disks=[DiskUse(folders=["data", "scratch"], percent=92.0, total=1_000_204_886_016, free=80_016_390_881)],
        gpus=[
            GpuUse(
                index=0,
                name="NVIDIA GeForce RTX 4090",
                percent=88,
                memory_percent=61.4,
                memory_total=25_757_220_864,
                memory_free=9_942_287_253,
                temperature=67,
            )
        ],
        warnings=[ResourceWarning(resource="disk:data", percent=92.0, limit=90.0, since=_AT)],
    ),
)
_RESOURCE_POINT = ResourcePoint(
    at=_AT,
    seconds=600,
    worker_id=_WORKER,
    average={"cpu": 54.1, "memory": 47.0, "disk:data": 91.8, "gpu:0": 80.2, "gpu-memory:0": 60.9},
    highest={"cpu": 99.0, "memory": 51.3, "disk:data": 92.0, "gpu:0": 100.0, "gpu-memory:0": 61.4},
)

_OPERATION = OperationRecord(
    name="render",
    aliases=["render_video"],
    summary="Render a video from scenes, with transitions, titles, captions and audio.",
    queue="render",
    priority=10,
    timeout=3600,
    attempts=3,
    on_worker_lost="retry",
    needs=["ffmpeg"],
    params_schema={"type": "object", "properties": {"scenes": {"type": "array"}}, "required": ["scenes"]},
    result_schema={"type": "object", "properties": {"video": {"type": "object"}}},
)

_LOG_LINE = JobLogLine(job_id="intro", attempt=1, at=_AT, level="info", logger="stdout", message="loaded 24 frames")
_PROGRESS = JobProgress(
    number=3, type=EventType.JOB_PROGRESS, job_id="trailer", data={"progress": 0.5, "message": "half"}, at=_AT
)

execution = _response(
    Execution(**_SUMMARY.model_dump(by_alias=False), last_event=6, jobs=[_JOB_RECORD], artifacts=[_ARTIFACT_RECORD])
)
execution_page = _response({"executions": [_SUMMARY.model_dump(mode="json")], "nextCursor": None})
job = _response(_JOB_RECORD)
artifact = _response(_ARTIFACT_RECORD)
artifact_page = _response({"artifacts": [_ARTIFACT_RECORD.model_dump(mode="json")], "nextCursor": None})
queue = _response(_QUEUE)
queues = _response({"queues": [_QUEUE.model_dump(mode="json")]})
worker = _response(_WORKER_RECORD)
stopping_worker = _response(_WORKER_RECORD.model_copy(update={"status": "stopping"}), "Accepted")
worker_resources = _response({"points": [_RESOURCE_POINT.model_dump(mode="json")]})
scaling = _response({"desiredWorkers": 3, "queues": [_SCALING.model_dump(mode="json")]})
workers = _response({"workers": [_WORKER_RECORD.model_dump(mode="json")]})
comfyui_servers = _response(
    {
        "servers": [
            ServerRecord(
                name="gpu1",
                url="http://gpu1:8188",
                state="reachable",
                version="0.33.0",
                queue=0,
                capacity=1,
                tags=["wan"],
                devices=[
                    DeviceRecord(name="cuda:0 NVIDIA GeForce RTX 4090", free=24_000_000_000, total=25_757_220_864)
                ],
            ).model_dump(mode="json"),
            ServerRecord(
                name="gpu2",
                url="http://gpu2:8188",
                state="unreachable",
                reason="ComfyUI at http://gpu2:8188 does not respond: ConnectError",
                since=_AT,
                capacity=1,
                tags=[],
            ).model_dump(mode="json"),
        ],
        "problem": None,
    }
)
intakes = _response(
    {
        "intakes": [
            IntakeRecord(
                id=UUID("019ab1f0-2222-7000-8000-00000000000a"),
                name="bullmq",
                sources=["video-generation"],
                status="working",
                host="gpu-1",
                pid=4242,
                open=17,
                oldest_open_at=_AT,
                backlog=120,
                accepted=2400,
                closed=2383,
                rejected=2,
                started_at=_AT,
                heartbeat_at=_AT,
            ).model_dump(mode="json")
        ]
    }
)
operation = _response(_OPERATION)
operations = _response({"operations": [_OPERATION.model_dump(mode="json")]})

_MODEL = ModelRecord(
    id="bytedance/seedance-1-pro",
    name="Seedance 1 Pro",
    makes="video",
    summary="Text or image to video",
    aliases=[],
    ready=False,
    offers=[
        OfferRecord(
            provider="replicate",
            model="bytedance/seedance-1-pro",
            ready=False,
            why_not="provider 'replicate' needs CALLSHEET_REPLICATE_API_TOKEN or REPLICATE_API_TOKEN",
            waiting="webhook",
            parameters=[
                ParameterRecord(name="prompt", kind="text", required=True, max_length=2000),
                ParameterRecord(name="duration", kind="integer", required=False, default=5, minimum=2, maximum=12),
            ],
        )
    ],
)
model = _response(_MODEL)
models = _response({"models": [_MODEL.model_dump(mode="json")]})
health = _response({"status": "ok", "version": "0.1.0"})
ready = _response({"status": "ready"})
schema = _response({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Callsheet plan", "$defs": {}})

metrics: _Response = {
    "description": "Metrics",
    "content": {
        "text/plain": {
            "schema": {"type": "string"},
            "example": 'callsheet_queue_jobs{queue="render",status="queued"} 3.0\n',
        }
    },
}

events = {
    "description": "A stream, or a page",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": f"id: 3\nevent: job.progress\ndata: {_PROGRESS.model_dump_json()}\n\n",
        },
        "application/json": {
            "example": {"events": [_PROGRESS.model_dump(mode="json")], "nextAfter": 3, "ended": False}
        },
    },
}

job_logs = {
    "description": "A page, or with `follow` a stream",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": f"id: 17\nevent: job.log\ndata: {_LOG_LINE.model_dump_json()}\n\n",
        },
        "application/json": {"example": {"logs": [_LOG_LINE.model_dump(mode="json")], "nextAfter": 17, "ended": False}},
    },
}

retry_options = {
    "keep-once-steps": {"summary": "Retry without once steps of unknown outcome", "value": {"resubmit": False}},
    "resubmit": {"summary": "Also repeat once steps of unknown outcome", "value": {"resubmit": True}},
}
queue_patches = {
    "pause": {"summary": "Start no more jobs", "value": {"paused": True}},
    "limit": {
        "summary": "At most 4 running jobs and 30 starts per minute, over all workers",
        "value": {"maxRunning": 4, "rateLimit": 30, "ratePeriod": "1m"},
    },
    "remove-limits": {
        "summary": "Remove the limits",
        "value": {"maxRunning": None, "rateLimit": None, "ratePeriod": None},
    },
}
worker_patches = {
    "resize": {"summary": "Run 4 renders at once and no previews", "value": {"lanes": {"render": 4, "preview": 0}}}
}


held_submissions = _response(
    {
        "submissions": [
            {
                "id": str(_JOB),
                "executionId": "019ab1f0-0000-7000-8000-000000000001",
                "jobId": "fox",
                "operation": "generate",
                "provider": "replicate",
                "heldAt": "2026-11-28T12:00:00Z",
            }
        ]
    }
)
released = _response({"released": 1})
releases = {
    "execution": {
        "summary": "All submissions of one execution",
        "value": {"ids": ["019ab1f0-0000-7000-8000-000000000001"]},
    },
    "provider": {
        "summary": "All held submissions to one provider",
        "value": {"all": True, "provider": "replicate"},
    },
}


def file_responses(problems: dict[int | str, _Response]) -> dict[int | str, _Response]:
    """Return the OpenAPI description of responses with files, with the error responses `problems`.

    403 is not among them: signed URLs are for other sites, too.
    """
    problems = {status: response for status, response in problems.items() if status != 403}
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}, "example": "…"}}
    return problems | {
        200: {"description": "The whole file", "content": content},
        206: {"description": "The requested range", "content": content},
        304: {"description": "The client has the current file"},
    }


_UPLOAD = {
    "id": "019ab1f0-0000-7000-8000-000000000006",
    "source": f"storage:uploads/{'9f86d081' * 8}.mp4",
    "sha256": "9f86d081" * 8,
    "size": 73_400_320,
    "offset": 0,
    "complete": False,
    "mediaType": None,
    "expiresAt": "2026-11-29T09:30:00Z",
    "uploadUrl": None,
}
upload = _response(_UPLOAD, "The file is to be sent")
complete_upload = _response(
    {**_UPLOAD, "offset": 73_400_320, "complete": True, "mediaType": "video/mp4"}, "The file is complete"
)
upload_page = _response({"uploads": [_UPLOAD], "nextCursor": None})
upload_probe = _response(
    {
        "probe": {
            "format": "mov,mp4,m4a,3gp,3g2,mj2",
            "duration": 12.5,
            "width": 1080,
            "height": 1920,
            "fps": 30.0,
            "frames": 375,
            "videoCodec": "h264",
            "pixelFormat": "yuv420p",
            "rotation": 0,
            "mirrored": False,
            "audioCodec": "aac",
            "audioChannels": 2,
            "sampleRate": 48000,
            "bitRate": 4_600_000,
        },
        "tooLarge": False,
    }
)
upload_requests = {
    "video": {
        "summary": "A video of 70 MiB",
        "value": {"sha256": "9f86d081" * 8, "size": 73_400_320, "name": "clip.mp4"},
    }
}
upload_part: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}, "example": "…"}},
    }
}
