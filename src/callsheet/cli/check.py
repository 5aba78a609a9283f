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
    """Check all settings and connections, and print errors, then warnings, each with what to do. Starts nothing.

    Exit status 0 if there are no errors, also with warnings; else 2. With --json, each finding has a stable code.
    """
    from callsheet.cli.diagnostics import run_checks
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import say, show, show_json

    options = {"host": host, "port": port, "data_dir": data_dir, "database_url": database_url}
    findings = run_async(run_checks(options, modules))
    if as_json:
        fields = ("level", "subject", "code", "message", "action")
        show_json([{name: getattr(finding, name) for name in fields} for finding in findings])
    else:
        for finding in findings:
            show(f"{finding.level:8} {finding.subject}: {finding.message}")
            if finding.action:
                show(f"{'':8} → {finding.action}")
    errors = sum(finding.level == "error" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    say(f"Errors: {errors}. Warnings: {warnings}.")
    if errors:
        raise typer.Exit(2)
