"""Checks of params that name a stored workflow, made when a plan is submitted: before anything runs."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

from callsheet.comfyui.workflows import load_workflow
from callsheet.domain.errors import BadParams, ConfigurationError, Problem
from callsheet.domain.references import has_reference
from callsheet.domain.validation_problems import validation_error
from callsheet.settings import Settings


def check_workflow_name(name: str, info: ValidationInfo) -> str:
    """Return the name of a stored workflow: a validator of the field.

    Without settings nothing is checked: the operation loads the workflow with the settings of its worker.
    """
    if isinstance(info.context, Settings) and (problem := workflow_problem(name, info.context)) is not None:
        raise PydanticCustomError(problem.code, "{message}", {"message": problem.message})
    return name


def workflow_problem(name: str, settings: Settings) -> Problem | None:
    """Return why a workflow cannot be used: it does not exist, or is invalid. It reads files."""
    try:
        load_workflow(name, settings)
    except BadParams as error:
        return error.problems[0]
    except ConfigurationError as error:
        return Problem("workflow", "invalid_workflow", error.message)
    return None


def check_workflow_inputs(
    prepare: Callable[[Settings], object], values: Mapping[str, Any], info: ValidationInfo, *, field: str = "workflow"
) -> None:
    """Raise a ValidationError with the problems of the inputs that `prepare` sets in a workflow.

    `values` are the given values by the paths of their problems; a value with a reference is not known yet. `field`
    selects the workflow.
    """
    if not isinstance(info.context, Settings):
        return
    try:
        prepare(info.context)
    except BadParams as error:
        problems = [problem for problem in error.problems if not has_reference(values.get(problem.path))]
    except ConfigurationError as error:
        problems = [Problem(field, "invalid_workflow", error.message)]
    else:
        return
    if problems:
        raise validation_error(problems, "workflow", knows_references=True)
