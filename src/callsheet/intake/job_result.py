"""The end of an execution in the words of queues whose producers wait for a result or an error."""

from collections.abc import Sequence

from callsheet.domain.records import StoredArtifact
from callsheet.intake.contract import Outcome, Rejection


def main_file(artifacts: Sequence[StoredArtifact]) -> StoredArtifact | None:
    """Return the file that a producer most likely wants: the last video, else the last audio file, else the first."""
    for kind in ("video/", "audio/"):
        found = [artifact for artifact in artifacts if artifact.media_type.startswith(kind)]
        if found:
            return found[-1]
    return artifacts[0] if artifacts else None


def error_text(outcome: Outcome) -> str:
    """Return the error, with all problems of the params of the failed jobs, one a line."""
    problems = [
        f"    {problem.path}: {problem.message}"
        for job in outcome.failed_jobs
        for problem in (job.error.problems if job.error is not None else None) or ()
    ]
    return "\n".join([outcome.error, *problems])


def error_stack(outcome: Outcome) -> str:
    """Return the error with the failed jobs, their problems and their tracebacks."""
    lines = [f"Error: {outcome.error}", f"    execution {outcome.execution.execution_id}"]
    for job in outcome.failed_jobs:
        if job.error is not None:
            lines.append(f"    at {job.operation} (job {job.job_id}, attempt {job.error.attempt})")
            lines += [f"      {problem.path}: {problem.message}" for problem in job.error.problems or []]
            lines += (job.error.traceback or "").splitlines()
    return "\n".join(lines)


def rejection_text(rejection: Rejection) -> str:
    """Return the reason with all problems, one a line."""
    problems = [f"    {problem.path or 'data'}: {problem.message}" for problem in rejection.problems]
    return "\n".join([rejection.message.partition("\n")[0], *problems])
