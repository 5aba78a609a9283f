"""The checks of `callsheet check`."""

from callsheet.cli.diagnostics.access import bind_address
from callsheet.cli.diagnostics.check import Check
from callsheet.cli.diagnostics.clock import clock
from callsheet.cli.diagnostics.comfyui import comfyui
from callsheet.cli.diagnostics.connections import connections
from callsheet.cli.diagnostics.database import database
from callsheet.cli.diagnostics.database_pool import database_pool
from callsheet.cli.diagnostics.disk import disk, folders
from callsheet.cli.diagnostics.environment import environment
from callsheet.cli.diagnostics.files_of_settings import models, schedules, source_roots, steps
from callsheet.cli.diagnostics.media import ffmpeg, fonts, sandbox
from callsheet.cli.diagnostics.operations import operations, workers
from callsheet.cli.diagnostics.providers import providers
from callsheet.cli.diagnostics.public_url import public_url
from callsheet.cli.diagnostics.redis import redis
from callsheet.cli.diagnostics.storage import storage
from callsheet.cli.diagnostics.webhooks import webhooks

_FILE = "correct the file; the message names each problem"
_OPERATIONS = Check(
    "the operations", operations, "operations.unusable", "correct the module, or the package that brings it"
)

CHECKS: tuple[Check, ...] = (
    Check("the environment", environment, "settings.invalid", "correct the package that the message names"),
    Check("the folders", folders),
    Check("the disks", disk),
    Check("the database", database, "database.unsuitable", "correct DATABASE_URL; see docs/going-to-production.md"),
    Check("the size of the database pool", database_pool, "operations.unusable", _OPERATIONS.action),
    Check("the connections", connections),
    Check("the clocks", clock),
    Check("the webhook endpoints", webhooks),
    Check("the storage", storage, "storage.unusable", "correct the settings CALLSHEET_S3_…, or CALLSHEET_DATA_DIR"),
    Check("Redis", redis),
    Check("FFmpeg", ffmpeg, "ffmpeg.unusable", "set FFMPEG_PATH to a working FFmpeg, or unset it", seconds=60),
    Check("the sandbox", sandbox),
    Check("the fonts", fonts),
    _OPERATIONS,
    Check("the live workers", workers),
    Check("the bind address", bind_address, "bind_address.open", "set CALLSHEET_API_KEY, or listen on 127.0.0.1"),
    Check("the providers", providers, "providers.incomplete", "correct the package of the provider"),
    Check("the models file", models, "models.invalid", _FILE),
    Check("the steps file", steps, "steps.invalid", _FILE),
    Check("the schedules file", schedules, "schedules.invalid", _FILE),
    Check("the source roots", source_roots),
    Check("the public URL", public_url),
    Check("ComfyUI", comfyui, "comfyui.invalid", "correct the settings COMFYUI_…", seconds=60),
)
"""They run at the same time. Each file of this folder has the checks of one subject."""
