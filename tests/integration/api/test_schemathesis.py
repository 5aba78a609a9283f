"""Requests that are made from our own OpenAPI document, valid and invalid ones.

None may cause a 500, or an answer that the document does not describe.
"""

import asyncio
import time
from contextlib import suppress

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, Failure, FailureGroup, load_all_checks

load_all_checks()
_CHECKS = [
    *CHECKS.get_by_names(["not_a_server_error", "status_code_conformance", "content_type_conformance"]),
    *CHECKS.get_by_names(["response_headers_conformance", "response_schema_conformance"]),
]
_EXAMPLES = 3
"""Valid requests to each route, and invalid ones."""
_SECONDS = 40
"""After this time, no further requests are sent: a busy machine sends fewer."""
_LEAST = 100
"""Requests that are sent on every machine."""


def faults_of(document, base):
    """Send requests to every route; return how many, and the answers that break the contract."""
    faults, sent, deadline = {}, 0, time.monotonic() + _SECONDS
    with requests.Session() as session:
        session.trust_env = False

        def check(case):
            nonlocal sent
            sent += 1
            response = case.call(base_url=base, session=session, timeout=20)
            if response.status_code == 503 and response.json()["code"] == "not_configured":
                return  # the extra of this route is not set up here, as the document says
            try:
                case.validate_response(response, checks=_CHECKS)
            except (Failure, FailureGroup) as failure:
                name = f"{case.method} {case.operation.path} {response.status_code}"
                faults.setdefault(name, f"{case.as_curl_command()}\n{failure!r}"[:3000])

        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if time.monotonic() > deadline:
                    return sent, faults
                _repeat(check, found.ok().as_strategy(generation_mode=mode))
    return sent, faults


def _repeat(check, strategy):
    # The same requests in each run: what fails once fails again.
    options = settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    @options
    @given(case=strategy)
    def send(case):
        check(case)

    with suppress(Unsatisfiable):  # nothing of this request can be invalid
        send()


async def test_every_answer_to_generated_requests_is_described(working):
    base = f"http://127.0.0.1:{working.runtime.settings.port}"
    sent, faults = await asyncio.to_thread(faults_of, working.app.openapi(), base)

    assert not faults, "\n\n".join(f"{name}\n{text}" for name, text in faults.items())
    assert sent > _LEAST
