"""`callsheet plan`: validate plans without running them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from callsheet.cli.options import Import, Json, PlanFile

if TYPE_CHECKING:
    from callsheet.settings import Settings

group = typer.Typer(help="Validate plans without running them.", no_args_is_help=True)


@group.callback()
def plans() -> None:
    """Validate plans without running them."""


@group.command()
def check(plan: PlanFile, modules: Import = None, as_json: Json = False) -> None:
    """Validate a plan, and print every problem with its path. Exit status 2 if there are problems."""
    from callsheet.cli.bootstrap import discover_operations, load_settings
    from callsheet.cli.printing import say, show_json
    from callsheet.domain.errors import PlanRefused
    from callsheet.domain.plan_validation import check_submission, check_without_values
    from callsheet.local import parse_submission

    settings = load_settings()
    catalog = discover_operations(modules).with_settings(settings)
    try:
        with plan_file(plan, settings) as data:
            submission = parse_submission(data, catalog)
            plan_data, limit = submission.execution_plan, settings.max_jobs_per_plan
            if plan_data.inputs and not submission.inputs:
                checked = check_without_values(plan_data, catalog, max_jobs=limit)
            else:
                _, checked = check_submission(submission, catalog, max_jobs=limit)
    except PlanRefused as error:
        if as_json:
            show_json(
                {"valid": False, "problems": [problem.as_dict() for problem in error.problems], "count": error.count}
            )
        raise
    if as_json:
        show_json({"valid": True, "problems": [], "jobs": len(checked.plan.jobs)})
    else:
        jobs = len(checked.plan.jobs)
        say(f"The plan is valid: {'1 job' if jobs == 1 else f'{jobs:,} jobs'}.")


@contextmanager
def plan_file(path: str, settings: "Settings") -> Iterator[Any]:
    """Give the data of a plan file, or of standard input for `-`. Raises NotFound and PlanRefused.

    A PlanRefused that the block raises gets line and column, if the file is YAML.
    """
    from callsheet.domain.errors import NotFound, PlanRefused
    from callsheet.domain.plan_parsing import read_plan_text, with_lines

    try:
        text = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise NotFound(f"The plan '{path}' cannot be read: {error.strerror}.") from None
    data = read_plan_text(text, max_bytes=settings.max_body_bytes)
    try:
        yield data
    except PlanRefused as refused:
        raise with_lines(refused, text) from None
