"""Options and arguments of several commands."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        file_okay=False,
        help="Folder of the embedded database and the local files (CALLSHEET_DATA_DIR)",
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="PostgreSQL server instead of the embedded one (CALLSHEET_DATABASE_URL)"),
]
Allow = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow",
        metavar="DIR",
        help="Folder whose files may be used, besides the working directory and the folder of the given file",
    ),
]
Import = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Module or .py file with custom operations; repeatable",
    ),
]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on (CALLSHEET_HOST; default 127.0.0.1)")]
Port = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Port to listen on, 0 for a free one (CALLSHEET_PORT; default 8500)"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, whose format is stable")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="URL of the server (CALLSHEET_URL; default http://127.0.0.1:8500)"),
]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", help="API key of the server (CALLSHEET_API_KEY, CALLSHEET_API_KEY_FILE)"),
]
HoldSubmissions = Annotated[
    bool,
    typer.Option(
        "--hold-submissions",
        "--hold-orders",
        help="Hold every submission to a provider until `callsheet providers release` (CALLSHEET_HOLD_SUBMISSIONS)",
    ),
]
PlanFile = Annotated[str, typer.Argument(metavar="PLAN", help="Plan as a JSON or YAML file; - for standard input")]
PlanOrName = Annotated[
    str,
    typer.Argument(metavar="PLAN", help="Plan as a JSON or YAML file, - for standard input, or the name of a plan"),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout", metavar="TIME", help="Maximum time to wait, such as 90s or 15m; exit status 124 after it"
    ),
]
