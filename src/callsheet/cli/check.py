"""`callsheet check`: is everything here fit to start?"""

import typer

from callsheet.cli.options import DatabaseUrl, DataDir, Host, Import, Json, Port


def check(
    host: Host = None,
    port: Port = None,
    modules: Import = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Read every setting and try every connection; tell all errors, then all warnings. Starts nothing.

    Exit 0 when there is no error, 2 otherwise.
    """
    from callsheet.cli.diagnostics import examine
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import say, show, show_json

    given = {"host": host, "port": port, "data_dir": data_dir, "database_url": database_url}
    findings = run_async(examine(given, modules))
    if as_json:
        show_json([{"level": f.level, "subject": f.subject, "message": f.message} for f in findings])
    else:
        for finding in findings:
            show(f"{finding.level:8} {finding.subject}: {finding.message}")
    errors = sum(finding.level == "error" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    say(f"Errors: {errors}. Warnings: {warnings}.")
    if errors:
        raise typer.Exit(2)
