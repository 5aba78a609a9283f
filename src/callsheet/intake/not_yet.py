"""Mappings of jobs whose operations this version does not have."""

from callsheet.domain.errors import BadParams, Problem
from callsheet.intake.mappings import Payload, PlanData, PlanMapping


def not_available(name: str) -> PlanMapping:
    """Return a mapping that rejects every job with a clear reason."""

    def reject(_payload: Payload) -> PlanData:
        message = f"there is no operation for '{name}' yet; map the queue to a plan file or to a function of your own"
        raise BadParams([Problem("", "unsupported", message)], f"'{name}' is not supported")

    return reject
