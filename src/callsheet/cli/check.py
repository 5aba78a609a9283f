"""`callsheet check`: diagnose this installation."""

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
    """Check all settings and connections, and print errors, then warnings. Starts nothing.

    Exit status 0 if there are no errors, else 2.
    """
    from callsheet.cli.diagnostics import run_checks
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import say, show, show_json

    options = {"host": host, "port": port, "data_dir": data_dir, "database_url": database_url}
    findings = run_async(run_checks(options, modules))
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
