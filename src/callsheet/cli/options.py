"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        file_okay=False,
        help="Where the embedded database and local files live (CALLSHEET_DATA_DIR)",
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="PostgreSQL to use, not the embedded one (CALLSHEET_DATABASE_URL)"),
]
Allow = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow", metavar="DIR", help="Folder whose files may be used, besides this one and that of the named file"
    ),
]
Import = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Module or .py file with operations of your own; may be given several times",
    ),
]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen at (CALLSHEET_HOST; 127.0.0.1)")]
Port = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Port to listen at, 0 takes a free one (CALLSHEET_PORT; 8500)"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, the stable form for programs")]
Url = Annotated[
    str,
    typer.Option("--url", envvar="CALLSHEET_URL", show_envvar=True, help="Address of the server"),
]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", envvar="CALLSHEET_API_KEY", show_envvar=True, help="Key of the server's API"),
]
ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="Id of the execution")]
PlanFile = Annotated[
    str, typer.Argument(metavar="PLAN", help="Plan as a JSON or YAML file; - reads it from standard input")
]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="TIME", help="Wait no longer than this, as in 90s or 15m; exit 124")
]
DEFAULT_URL = "http://127.0.0.1:8500"
