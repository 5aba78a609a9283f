"""The arguments of the statement that stores plans."""

from callsheet.domain.plan_validation import check_plan, read_submission
from callsheet.engine.jobs.execution_rows import ExecutionRows, insertion_arguments
from callsheet.operation_api.catalog import discover

CATALOG = discover()


def rows(edges):
    """Return the rows of a plan, given as job id → upstream ids."""
    jobs = [
        {"id": name, "operation": "probe", "params": {"src": "https://example.com/a.mp4"}, "dependsOn": upstream}
        for name, upstream in edges.items()
    ]
    submission = read_submission({"executionPlan": {"jobs": jobs}})
    return ExecutionRows(submission, check_plan(submission.execution_plan, CATALOG, max_jobs=9), CATALOG)


def texts(array):
    """Return the elements of an array in the text form of PostgreSQL."""
    return [text.strip('"') for text in array.strip("{}").split(",")]


def numbers(array):
    return [int(text) for text in texts(array)]


def test_edges_name_their_jobs_by_position_over_all_executions():
    arguments = insertion_arguments([rows({"a": [], "b": ["a"]}), rows({"c": ["d"], "d": [], "e": ["c", "d"]})])

    names = texts(arguments["job_names"])
    edges = zip(numbers(arguments["upstream"]), numbers(arguments["downstream"]), strict=True)
    # The arrays of PostgreSQL count from 1.
    assert [(names[up - 1], names[down - 1]) for up, down in edges] == [("a", "b"), ("d", "c"), ("c", "e"), ("d", "e")]
    assert list(arguments["job_counts"]) == [2, 3]
    assert len(set(arguments["job_ids"])) == 5
