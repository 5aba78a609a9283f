"""The mapping `content-generation`."""

import pytest

from callsheet.domain.plan_validation import check_plan, read_plan
from callsheet.intake.content_generation import content_generation
from callsheet.intake.mappings import Payload
from callsheet.operation_api.catalog import discover
from callsheet.settings import Settings

SETTINGS = Settings(_env_file=None, llm_model="llama3.2")


@pytest.mark.parametrize(
    ("data", "params"),
    [
        ({"persona": "Mara", "context": "Sea", "jobId": "1"}, {"persona": "Mara", "context": "Sea"}),
        ({"payload": {"topic": "Sea", "durationSec": 9}, "jobId": 1}, {"topic": "Sea", "durationSec": 9}),
        (
            {"caption": "Home", "script": "Waves.", "context": {"city": "Rome"}, "persona": None},
            {"brief": {"city": "Rome", "draft of the caption": "Home", "draft of the script": "Waves."}},
        ),
        ({"caption": "Home"}, {"brief": {"context": None, "draft of the caption": "Home"}}),
    ],
)
def test_the_fields_of_a_body_become_params(data, params):
    submission = content_generation(Payload("content-generation", "write", "7", data, SETTINGS))

    assert submission["jobs"][0]["params"] == params
    check_plan(read_plan(dict(submission)), discover().with_settings(SETTINGS), max_jobs=1)
