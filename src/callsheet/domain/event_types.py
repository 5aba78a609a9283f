"""The types of events that an execution records."""

from enum import StrEnum


class EventType(StrEnum):
    """Type of an event. Types named after a status are recorded when a job or an execution enters that status."""

    EXECUTION_QUEUED = "execution.queued"
    """The plan was stored. Always event number 1."""
    EXECUTION_RUNNING = "execution.running"
    """The first job was started, or jobs were retried."""
    EXECUTION_SUCCEEDED = "execution.succeeded"
    EXECUTION_FAILED = "execution.failed"
    EXECUTION_CANCELLED = "execution.cancelled"

    JOB_PENDING = "job.pending"
    """The job waits for other jobs after a retry, or for its child jobs."""
    JOB_SCHEDULED = "job.scheduled"
    """The job waits for a time, usually the backoff of a retry."""
    JOB_QUEUED = "job.queued"
    """The job became ready. Not recorded for jobs that are ready when the plan is stored."""
    JOB_RUNNING = "job.running"
    """A worker started a run."""
    JOB_WAITING = "job.waiting"
    """A provider works on the job's task, or the job waits for a person."""
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_SKIPPED = "job.skipped"

    JOB_PROGRESS = "job.progress"
    """Progress from 0 to 1; throttled."""
    JOB_LOG = "job.log"
    """A message of the operation."""
    JOB_OUTPUT = "job.output"
    """Intermediate results (`Context.publish`)."""
    JOB_BLOCKED = "job.blocked"
    """The job has been ready for some seconds, and nothing can start it; or its run waits for the storage. The data is
    its `waitReason`. Recorded once per stay in the queue and once per outage."""
    JOB_APPROVAL_REQUESTED = "job.approval_requested"
    """The job asks a person to approve something; the data has the signed link."""
    JOB_APPROVAL_DECIDED = "job.approval_decided"
    """An approval was decided, by a person or at its deadline."""
    JOB_PROVIDER_STATUS = "job.provider_status"
    """The status of the task at the provider changed."""
