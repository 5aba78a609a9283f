"""The lists of error codes."""

from callsheet.domain.error_codes import HTTP_ERROR_CODES, job_error_codes, problem_codes, request_error_codes
from callsheet.domain.problem_codes import PROBLEM_CODES


def test_the_lists_contain_the_codes_of_classes_statements_and_providers():
    assert {"plan_refused", "bad_input", "internal_error", *HTTP_ERROR_CODES} <= set(request_error_codes())
    assert {"ffmpeg_failed", "crash_loop", "content_refused", "bad_params", "failed"} <= set(job_error_codes())
    assert {*PROBLEM_CODES, "missing", "extra_forbidden", "int_parsing"} <= set(problem_codes())


def test_each_code_is_listed_once():
    for codes in (request_error_codes(), job_error_codes(), problem_codes()):
        assert codes == sorted(set(codes))
