"""Problem codes, error codes and event types are listed in one place each."""

import ast
import re
from pathlib import Path

import callsheet
from callsheet.domain import errors
from callsheet.domain.event_types import EventType
from callsheet.domain.problem_codes import PROBLEM_CODES
from callsheet.domain.statuses import ExecutionStatus, JobStatus
from callsheet.domain.wait_reasons import WaitCode

SOURCE = Path(callsheet.__file__).parent
MODULES = [path for path in SOURCE.rglob("*.py") if path.name != "problem_codes.py"]


def called_name(call):
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def helpers(tree):
    """Names of methods `(self, path, code, message)` that add a problem."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {f.name for f in functions if [arg.arg for arg in f.args.args][2:3] == ["code"]}


def literal_codes(path):
    tree = ast.parse(path.read_text())
    adders = helpers(tree) | {"Problem"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called_name(node) in adders and len(node.args) > 1:
            code = node.args[1]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                yield code.value


def test_every_problem_code_in_the_source_is_listed():
    used = {code for path in MODULES for code in literal_codes(path)}

    assert used - PROBLEM_CODES.keys() == set()


def test_every_listed_problem_code_is_used():
    text = "".join(path.read_text() for path in MODULES)

    assert [code for code in PROBLEM_CODES if f'"{code}"' not in text] == []


def subclasses(error):
    for below in error.__subclasses__():
        if below.__module__.startswith("callsheet.domain"):
            yield below
            yield from subclasses(below)


def test_every_error_class_of_the_domain_has_a_code_of_its_own():
    kinds = [kind for kind in subclasses(errors.CallsheetError) if kind is not errors.ProblemList]
    codes = [kind.code for kind in kinds]

    assert len(codes) == len(set(codes))


def test_codes_that_only_sql_writes_are_listed():
    sql = "".join(path.read_text() for path in (SOURCE / "db/sql").glob("*.sql"))
    written = set(re.findall(r"'code', '([a-z_]+)'", sql))
    by_class = {kind.code for kind in subclasses(errors.CallsheetError)}

    assert written - by_class - {*WaitCode} == errors.SQL_ERROR_CODES.keys()


def test_every_event_type_in_the_source_is_listed():
    text = "".join(path.read_text() for pattern in ("*.py", "*.sql") for path in SOURCE.rglob(pattern))
    used = set(re.findall(r"""["']((?:job|execution)\.[a-z_]+)["']""", text))

    assert {name for name in used if not name.endswith(".html")} <= {*EventType}


def test_every_status_has_an_event_type():
    assert {f"job.{status}" for status in JobStatus} <= {*EventType}
    assert {f"execution.{status}" for status in ExecutionStatus} <= {*EventType}
