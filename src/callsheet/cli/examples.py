"""An example for the help of every command."""

from collections.abc import Iterator, Mapping

import typer
from typer.models import CommandInfo

EXAMPLES: Mapping[str, str] = {
    "artifacts": "callsheet artifacts last --job film",
    "cancel": "callsheet cancel 019ab1f0 --job film",
    "check": "callsheet check --import my_operations.py",
    "comfyui drain": "callsheet comfyui drain http://gpu-1:8188",
    "comfyui list": "callsheet comfyui list",
    "comfyui resume": "callsheet comfyui resume http://gpu-1:8188",
    "db upgrade": "callsheet db upgrade --database-url postgresql://callsheet@db/callsheet",
    "demo": "callsheet demo --out demo-output",
    "dev fakes": "callsheet dev fakes",
    "download": "callsheet download last --out videos --name '*.mp4'",
    "events": "callsheet events last --follow",
    "executions list": "callsheet executions list --status failed --limit 50",
    "intake": "callsheet intake bullmq",
    "intakes": "callsheet intakes",
    "logs": "callsheet logs last --job film --follow",
    "models list": "callsheet models list",
    "models show": "callsheet models show bytedance/seedance-1-pro",
    "operations list": "callsheet operations list --json",
    "operations show": "callsheet operations show render",
    "plan check": "callsheet plan check plan.yaml --import my_operations.py",
    "providers held": "callsheet providers held",
    "providers reconcile": "callsheet providers reconcile replicate --since 12h",
    "providers release": "callsheet providers release last",
    "queues limit": "callsheet queues limit generate --max-running 4 --rate 10/1m",
    "queues list": "callsheet queues list",
    "queues pause": "callsheet queues pause render",
    "queues resume": "callsheet queues resume render",
    "render": "callsheet render timeline.yaml --out film.mp4",
    "retry": "callsheet retry last --job film",
    "run": "callsheet run plan.yaml --out videos --import my_operations.py",
    "serve": "callsheet serve --host 0.0.0.0 --port 8500",
    "status": "callsheet status last --json",
    "submit": "callsheet submit plan.yaml --wait --timeout 15m",
    "timeline export": "callsheet timeline export timeline.yaml cut.otio",
    "timeline import": "callsheet timeline import cut.otio",
    "up": "callsheet up --reload --import my_operations.py",
    "uploads delete": "callsheet uploads delete 019ab1f0-0000-7000-8000-000000000006",
    "uploads list": "callsheet uploads list",
    "version": "callsheet version",
    "watch": "callsheet watch last --timeout 15m",
    "webhooks change": "callsheet webhooks change 019ab1f0-0000-7000-8000-000000000007 --enable",
    "webhooks create": "callsheet webhooks create https://example.com/hooks --event 'execution.*' --event job.failed",
    "webhooks delete": "callsheet webhooks delete 019ab1f0-0000-7000-8000-000000000007",
    "webhooks deliveries": "callsheet webhooks deliveries --status failed",
    "webhooks delivery": "callsheet webhooks delivery b0f6c3a2-7d5e-4f0a-9a4c-1c2d3e4f5a6b",
    "webhooks list": "callsheet webhooks list",
    "webhooks resend": "callsheet webhooks resend --failed-since 1d",
    "webhooks rotate-secret": "callsheet webhooks rotate-secret 019ab1f0-0000-7000-8000-000000000007 --overlap 2h",
    "webhooks secret": "callsheet webhooks secret",
    "webhooks show": "callsheet webhooks show 019ab1f0-0000-7000-8000-000000000007",
    "webhooks test": "callsheet webhooks test 019ab1f0-0000-7000-8000-000000000007",
    "worker": "callsheet worker --queues render,preview --concurrency render=2",
    "workers list": "callsheet workers list",
    "workers set-lanes": "callsheet workers set-lanes gpu-1 render=4,preview=0",
}
"""Command → an example of its use."""


def add_examples(app: typer.Typer) -> None:
    """Show the example of each command below its help."""
    for path, command in commands_of(app):
        command.epilog = f"Example: {EXAMPLES[path]}"


def commands_of(app: typer.Typer, prefix: str = "") -> Iterator[tuple[str, CommandInfo]]:
    """Yield each command with its full name, such as `queues pause`."""
    for command in app.registered_commands:
        assert command.callback is not None  # noqa: S101 - set by the decorator
        yield prefix + (command.name or command.callback.__name__), command
    for group in app.registered_groups:
        assert group.typer_instance is not None  # noqa: S101 - set by `add_typer`
        yield from commands_of(group.typer_instance, f"{prefix}{group.name} ")
