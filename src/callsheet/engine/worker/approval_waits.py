"""The approval that a run asks for, with its deadline and its signed link."""

from callsheet.domain.clock import shared_now
from callsheet.domain.ids import new_id
from callsheet.engine.jobs.snooze import ApprovalWait
from callsheet.engine.worker.context import WorkerServices
from callsheet.files.approval_links import approval_link
from callsheet.operation_api.approval_request import ApprovalRequest


def approval_wait(request: ApprovalRequest, services: WorkerServices) -> ApprovalWait:
    """Return the approval, with a link if there is a public URL. Its deadline counts from now."""
    approval_id, deadline, base_url = new_id(), shared_now() + request.deadline, services.public_url.url
    url = None if base_url is None else approval_link(services.key, base_url, approval_id, deadline)
    return ApprovalWait(approval_id, request, deadline, url)
