"""The Celery application. Producers import it, or send the tasks by name with an application of their own.

from callsheet.intake.celery import render_video_task

result = render_video_task.delay({"scenes": [{"video_path": "scene1.mp4"}]})
print(result.get(timeout=30))
"""

from typing import Any

from celery.signals import worker_init

from callsheet.intake.celery.application import NO_INTAKE, add_tasks, configuration, create_app
from callsheet.intake.celery.tasks import QUEUES
from callsheet.settings import Settings

app = create_app(lambda: configuration(Settings()))
"""For producers, `celery inspect` and Flower. The worker of `callsheet intake celery` has one of its own."""

_tasks = add_tasks(app, QUEUES)
render_video_task = _tasks["render_video_task"]
generate_preview_task = _tasks["generate_preview_task"]
transcode_task = _tasks["transcode_task"]
caption_task = _tasks["caption_task"]
cleanup_task = _tasks["cleanup_task"]
monitor_resources_task = _tasks["monitor_resources_task"]
process_hubspot_webhook = _tasks["process_hubspot_webhook"]
monitor_fatigue = _tasks["monitor_fatigue"]
monitor_all_ads_fatigue = _tasks["monitor_all_ads_fatigue"]
auto_index_winner = _tasks["auto_index_winner"]


def _refuse_worker(sender: Any = None, **_: Any) -> None:
    """Stop a worker without an intake before it takes messages."""
    if getattr(sender, "app", None) is app:
        raise SystemExit(NO_INTAKE)


worker_init.connect(_refuse_worker)
