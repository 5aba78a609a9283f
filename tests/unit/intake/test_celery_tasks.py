"""How the arguments of Celery tasks become plans, and which messages a Celery worker can read."""

import asyncio
import json
import zlib
from base64 import b64encode
from types import SimpleNamespace
from uuid import uuid4

import pytest

from callsheet.domain.errors import BadParams, ConfigurationError
from callsheet.intake.celery.application import configuration
from callsheet.intake.celery.intake import CeleryIntake
from callsheet.intake.celery.tasks import MAPPINGS, POSITIONS, QUEUES, body_of, served_queues, task_mappings
from callsheet.intake.celery.wire_format import find_problem
from callsheet.intake.contract import OpenMessage
from callsheet.intake.mappings import Payload
from callsheet.settings import Settings

RESULT = {"executionId": "1", "artifacts": [], "key": "render/1/video.mp4"}


def plan(task, *args, **kwargs):
    body = body_of(list(args), kwargs, POSITIONS.get(task, ()))
    payload = Payload(QUEUES.get(task, "plans"), task, "id", body, settings())
    return MAPPINGS[task](payload)["jobs"]


def settings(**given):
    return Settings(_env_file=None, **given)


def test_dictionaries_and_keyword_arguments_are_merged():
    assert body_of([{"a": 1}, {"b": 2}], {"c": 3}) == {"a": 1, "b": 2, "c": 3}


def test_all_other_arguments_are_problems():
    with pytest.raises(BadParams) as caught:
        body_of(["text", {}, None], {})
    assert [problem.path for problem in caught.value.problems] == ["args[0]", "args[2]"]


def test_a_task_gets_the_file_of_the_task_before_unless_it_names_one():
    [job] = plan("transcode_task", RESULT, {"resolution": "360p"})
    assert job["params"] == {"resolution": "360p", "src": "storage:render/1/video.mp4"}
    [job] = plan("transcode_task", RESULT, {"video_path": "/in/a.mp4"})
    assert job["params"] == {"video_path": "/in/a.mp4"}


def test_a_film_after_a_group_joins_its_videos():
    [job] = plan("render_video_task", [RESULT, {**RESULT, "key": "render/2/video.mp4"}])
    assert job["params"]["scenes"] == [{"src": "storage:render/1/video.mp4"}, {"src": "storage:render/2/video.mp4"}]


def test_other_tasks_after_a_group_take_one_file_only():
    with pytest.raises(BadParams) as caught:
        plan("caption_task", [RESULT, RESULT])
    assert caught.value.problems[0].path == "src"


@pytest.mark.parametrize("task", ["monitor_fatigue", "monitor_all_ads_fatigue"])
def test_the_fatigue_tasks_look_at_the_ads_of_a_tenant_or_of_all(task):
    [job] = plan(task)
    assert (job["operation"], job["params"]) == ("monitor-fatigue", {})
    [job] = plan(task, RESULT, tenantId="tenant_1")
    assert job["params"] == {"tenantId": "tenant_1"}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("ad_1", {"hookType": "question"}), {}),
        ((), {"ad_id": "ad_1", "creative_dna": {"hookType": "question"}}),
        (({"ad_id": "ad_1", "creative_dna": {"hookType": "question"}},), {}),
        (("ad_1",), {"creativeDna": {"hookType": "question"}}),
    ],
)
def test_a_winner_is_indexed_by_its_id_and_its_facts_in_any_form(args, kwargs):
    [job] = plan("auto_index_winner", *args, **kwargs)
    creative = {"ad_id": "ad_1", "attributes": {"hookType": "question"}}
    assert (job["operation"], job["params"]) == ("index-winners", {"creatives": [creative]})


def test_winners_are_indexed_for_a_tenant_and_without_arguments_the_index_is_renewed():
    [job] = plan("auto_index_winner", {"tenantId": "tenant_1", "creatives": [{"adId": "a", "text": "x"}]})
    assert job["params"] == {"tenantId": "tenant_1", "creatives": [{"adId": "a", "text": "x"}]}
    [job] = plan("auto_index_winner", {"tenantId": "tenant_1", "adId": "a", "text": "x"})
    assert job["params"] == {"tenantId": "tenant_1", "creatives": [{"adId": "a", "text": "x"}]}
    assert plan("auto_index_winner")[0]["params"] == {}
    with pytest.raises(BadParams) as caught:
        plan("auto_index_winner", "ad_1", {}, "more")
    assert [problem.path for problem in caught.value.problems] == ["args[2]"]


def test_every_built_in_task_has_a_mapping_and_a_served_queue():
    assert QUEUES.keys() <= MAPPINGS.keys()
    assert set(QUEUES.values()) <= set(served_queues(settings()))


def test_tasks_of_the_settings_are_added_and_invalid_ones_are_named():
    given = "films.make=plan, pro.celery_app.render_video_task = render_video_task"
    mappings = task_mappings(settings(celery_tasks=given))
    assert mappings["films.make"] == "plan"
    assert mappings["pro.celery_app.render_video_task"] == "render_video_task"
    with pytest.raises(ConfigurationError, match=r"'films.make' needs a name and a mapping"):
        task_mappings(settings(celery_tasks="films.make"))
    with pytest.raises(ConfigurationError, match="CALLSHEET_CELERY_QUEUES names no queue"):
        served_queues(settings(celery_queues=" , "))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("rediss://:p@redis:6380/2", "rediss://:p@redis:6380/2?ssl_cert_reqs=required"),
        ("rediss://redis/0?ssl_cert_reqs=none", "rediss://redis/0?ssl_cert_reqs=none"),
        ("redis://redis:1/3", "redis://redis:1/3"),
    ],
)
def test_certificates_are_verified_unless_the_url_says_otherwise(given, expected):
    found = configuration(settings(redis_url=given))
    assert (found["broker_url"], found["result_backend"]) == (expected, expected)


def message(body=([{}], {}, {}), encode=b64encode, **changes):
    whole = {
        "body": encode(json.dumps(body).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "t", "id": "i"},
        "properties": {
            "delivery_tag": "d",
            "delivery_info": {"exchange": "", "routing_key": "q"},
            "body_encoding": "base64",
        },
    }
    return json.dumps({**whole, **changes}).encode()


@pytest.mark.parametrize(
    "item",
    [
        message(),
        message(body=([], {}, {"callbacks": None, "chain": None})),
        message(body={"task": "t", "id": "i", "args": [], "kwargs": {}}, headers={}),
        message(
            encode=lambda body: b64encode(zlib.compress(body)),
            headers={"task": "t", "id": "i", "compression": "application/x-gzip"},
        ),
        message(
            body="x",
            encode=lambda _: b"[[], {}, {}]",
            properties={"delivery_tag": "d", "delivery_info": {"exchange": "", "routing_key": "q"}},
        ),
    ],
    ids=["protocol 2", "with callbacks", "protocol 1", "compressed", "plain body"],
)
def test_messages_of_celery_are_readable(item):
    assert find_problem(item) is None


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (b"no JSON", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "of the type list"),
        (b"[" * 100_000, "cannot be read"),
        (message(headers=None), "no `headers`"),
        (message(headers={"task": "t"}), "`headers.id`"),
        (message(headers={"task": 7, "id": "i"}), "`headers.task`"),
        (message(headers={}), "`body.task` and `body.id`"),
        (message(properties={}), "delivery_tag"),
        (message(properties={"delivery_tag": "d"}), "delivery_info"),
        (message(**{"content-type": None}), "content type None"),
        (message(**{"content-type": "application/x-python-serialize"}), "x-python-serialize"),
        (message(**{"content-encoding": None}), "content-encoding"),
        (message(body=[[], {}]), "[args, kwargs, embed]"),
        (message(body=[{}, {}, {}]), "[args, kwargs, embed]"),
        (message(body="text"), "[args, kwargs, embed]"),
    ],
)
def test_what_would_end_a_celery_worker_is_found(item, problem):
    assert problem in find_problem(item)


async def test_a_task_that_is_revoked_while_it_is_stored_is_cancelled_afterwards():
    stored, cancelled = [], []

    async def cancel(queue, task_id):
        if task_id not in stored:
            return False
        cancelled.append(task_id)
        return True

    intake = CeleryIntake(SimpleNamespace(settings=settings(), cancel=cancel))
    worker = SimpleNamespace(send=lambda _: None)
    task = {"name": "render_video_task", "queue": "render_queue", "request": {"id": "a", "retries": 0}}
    intake._on_document(worker, {"number": 1, "task": task})
    intake._on_document(worker, {"revoked": ["a", "unknown"]})
    await asyncio.gather(*intake._cancels)
    assert cancelled == []

    stored.append("a")
    delivery = intake._taken.get_nowait()
    await intake.accepted(OpenMessage(delivery.key, uuid4(), delivery.claim))
    await asyncio.gather(*intake._cancels)
    assert cancelled == ["a"]
