"""Short helpers to write plans in tests."""


def job(id, operation="noop", *, after=(), params=None, **more):
    return {"id": id, "operation": operation, "params": params or {}, "dependsOn": list(after), **more}


def plan(*jobs):
    return {"jobs": list(jobs)}


def statuses(execution):
    return {job.job_id: str(job.status) for job in execution.jobs}
