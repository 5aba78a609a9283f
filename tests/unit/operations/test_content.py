"""Operation `content`, with a fake server in good and bad weather."""

import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from callsheet.domain.errors import (
    BadAnswer,
    BadParams,
    ConfigurationError,
    ProviderFailed,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
)
from callsheet.fakes.language_model import FakeLanguageModel
from callsheet.fakes.providers.faults import CutConnection, Fail, Flood, Garble, RateLimited, Redirect, Reject
from callsheet.operations.content import content
from callsheet.operations.content_answer import answer_schema, fit_seconds
from callsheet.operations.content_params import ContentParams
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext


@pytest.fixture
async def server():
    async with FakeLanguageModel() as server:
        yield server


@pytest.fixture
def ask(server, tmp_path):
    async def ask(settings=None, **params):
        job = RecordingContext(tmp_path, settings=Settings(_env_file=None, **(server.settings() | (settings or {}))))
        ask.job = job
        given = {"topic": "A lighthouse at dusk", "scenes": 2, "duration": 6} | params
        return await content.run(job, ContentParams.model_validate(given))

    return ask


def answer(**changes):
    scene = {"text": "Waves.", "prompt": "a lighthouse", "seconds": 1}
    texts = {"title": "Dusk", "caption": "Home.", "hashtags": ["sea side", "#light", "#light"], "scenes": [scene] * 2}
    return json.dumps({name: value for name, value in {**texts, **changes}.items() if value is not None})


async def test_the_texts_have_the_form_of_the_params(server, ask):
    result = await ask(scenes=3, duration=10, persona={"name": "Mara", "voice": "dry"}, language="de")

    assert len(result.scenes) == 3
    assert sum(scene.seconds for scene in result.scenes) == pytest.approx(10)
    assert result.script == "\n\n".join(scene.text for scene in result.scenes)
    assert (result.model, result.tries, result.language) == ("fake-writer", 1, "de")
    assert result.completion_tokens > 50
    system, user = server.chats[0].body["messages"]
    assert "exactly 3 objects" in system["content"] and '"de"' in system["content"]
    assert "name: Mara" in user["content"] and "A lighthouse at dusk" in user["content"]
    written = json.loads(ask.job.path_of(result.file).read_text())
    assert written["scenes"][2]["seconds"] == result.scenes[2].seconds
    assert [report.done for report in ask.job.progress_reports] == sorted(r.done for r in ask.job.progress_reports)


async def test_hashtags_and_characters_are_cleaned(server, ask):
    server.answers = [answer(title="A\u0000b", hashtags=["sea side", "#light", "#light", "!", "हिन्दी"])]

    result = await ask()

    assert result.title == "Ab"
    assert result.hashtags == ["#seaside", "#light", "#हिन्दी"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("I cannot do that.", "no complete JSON object"),
        (answer(caption=None), "caption"),
        (answer(scenes=[]), "scenes"),
        ('{"title": "Dusk", "caption": "Ho', "no complete JSON object"),
        (answer(scenes=[{"text": "", "prompt": "a", "seconds": "x"}] * 2), "scenes[0].seconds"),
    ],
)
async def test_an_invalid_answer_is_sent_back_with_its_problems(server, ask, wrong, said):
    server.answers = [wrong, answer()]

    result = await ask()

    assert (result.tries, result.title) == (2, "Dusk")
    _, _, refused, repair = server.chats[1].body["messages"]
    assert refused == {"role": "assistant", "content": wrong}
    assert said in repair["content"]
    assert server.chats[0].headers["idempotency-key"] != server.chats[1].headers["idempotency-key"]


async def test_the_number_of_tries_is_limited(server, ask):
    server.answers = ["no", "no", answer(title=""), answer()]

    with pytest.raises(BadAnswer, match=r"last of 3 answers: title: "):
        await ask(tries=3)

    assert len(server.chats) == 3
    assert len(server.chats[2].body["messages"]) == 4


async def test_an_answer_that_reached_its_limit_is_asked_for_again_in_short(server, ask):
    server.finish_reason = "length"
    server.answers = ['{"title": "Dusk', answer()]

    result = await ask(max_tokens=60)

    assert result.tries == 2
    assert "cut off after 60 tokens" in server.chats[1].body["messages"][-1]["content"]


@pytest.mark.parametrize(
    "text", ["```json\n{}\n```", "Here it is: {}. Enjoy!", '<think>{ {0} maybe {"a": 1}</think>{}']
)
async def test_text_around_the_answer_is_skipped(server, ask, text):
    server.answers = [text.replace("{}", answer())]

    assert (await ask()).tries == 1


@pytest.mark.parametrize(
    ("refused", "forms", "streams", "sent"),
    [
        ((), {"json_schema", "json_object"}, False, 1),
        (("maxLength",), {"json_schema"}, True, 2),
        (("stream_options", "max_tokens", "temperature"), {"json_schema"}, True, 4),
        ((), {"json_object"}, True, 3),
        (("stream", "stream_options"), set(), False, 5),
    ],
)
async def test_a_server_that_refuses_a_part_of_the_request_gets_a_simpler_one(
    server, ask, refused, forms, streams, sent
):
    server.refused, server.forms, server.streams, server.answers = frozenset(refused), forms, streams, [answer()]

    result = await ask(temperature=0.5)

    assert (result.title, len(server.chats)) == ("Dusk", sent)
    assert server.chats[-1].body["messages"] == server.chats[0].body["messages"]
    assert len({chat.headers["idempotency-key"] for chat in server.chats}) == sent


async def test_a_request_that_is_refused_in_every_form_fails_with_the_words_of_the_server(server, ask):
    server.faults = [Reject(400, "messages are not allowed today")] * 9

    with pytest.raises(SubmissionRejected, match="messages are not allowed today"):
        await ask()


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (RateLimited(after=7), ProviderRateLimited, "rate limit"),
        (Fail(503), ProviderUnreachable, "503 Something went wrong"),
        (CutConnection(), ProviderUnreachable, "closed the connection"),
        (Garble(b"<html>login</html>"), ProviderUnreachable, "no valid JSON"),
        (Flood(9 * 2**20), ProviderUnreachable, "larger than"),
        (Redirect("http://127.0.0.1:1/login"), ConfigurationError, "CALLSHEET_LLM_URL"),
        (Reject(402, "Insufficient credits"), ProviderFailed, "no credit"),
        (Reject(404, "404 page not found"), BadParams, "fake-writer"),
    ],
)
async def test_faults_of_the_server_have_clear_errors(server, ask, fault, error, said):
    server.streams = False
    server.faults = [fault]

    with pytest.raises(error, match=said) as raised:
        await ask()

    if isinstance(fault, RateLimited):
        assert raised.value.retry_after == 7


async def test_a_stream_that_is_cut_off_is_no_answer(server, ask):
    server.cut_after = 5
    with pytest.raises(ProviderUnreachable, match="closed the connection before the end of the answer"):
        await ask()

    server.error_in_stream = True
    with pytest.raises(ProviderUnreachable, match="CUDA out of memory"):
        await ask()


async def test_a_page_in_place_of_an_answer_names_the_setting(server, ask):
    async def page(context, respond):
        from starlette.responses import HTMLResponse

        return HTMLResponse("<html>Welcome</html>")

    server.faults = [page]

    with pytest.raises(ProviderUnreachable, match=r"text/html.*CALLSHEET_LLM_URL"):
        await ask()


async def test_a_refusal_and_a_content_filter_are_named(server, ask):
    server.finish_reason = "content_filter"
    with pytest.raises(ProviderFailed) as raised:
        await ask()

    assert raised.value.code == "content_refused"


async def test_a_wrong_key_is_named_and_never_shown(server, ask):
    with pytest.raises(ConfigurationError, match="CALLSHEET_LLM_API_KEY") as raised:
        await ask(settings={"llm_api_key": "sk-another-key-of-someone"})

    assert "sk-another-key-of-someone" not in str(raised.value)


async def test_an_unknown_model_is_named_with_those_of_the_server(ask):
    with pytest.raises(BadParams, match=r"no model 'llama9'.*Its models: fake-writer"):
        await ask(model="llama9")


async def test_a_server_that_does_not_run_is_unreachable(ask):
    with pytest.raises(ProviderUnreachable, match="Is it running"):
        await ask(settings={"llm_url": "http://127.0.0.1:1/v1"})


async def test_a_silent_server_is_waited_for_as_long_as_the_settings_say(server, ask):
    async def silence(context, respond):
        await context.request.receive()
        while (await context.request.receive())["type"] != "http.disconnect":
            pass

    server.faults = [silence]

    with pytest.raises(ProviderUnreachable, match="CALLSHEET_LLM_TIMEOUT"):
        await ask(settings={"llm_timeout": timedelta(seconds=0.1)})


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "at least one of persona, topic and brief"),
        ({"persona": {"name": ""}}, "at least one of persona, topic and brief"),
        ({"topic": "a", "scenes": 10, "duration": 3}, "10 scenes need at least 5 seconds; got 3"),
        ({"topic": "a", "language": "English"}, "a language code such as en"),
        ({"topic": "a", "brief": "x" * 20_001}, "20,001 characters; at most 20,000"),
        ({"topic": "a", "scenes": 51}, "less than or equal to 50"),
    ],
)
def test_params_that_cannot_work_are_refused(params, said):
    with pytest.raises(ValidationError, match=said):
        ContentParams.model_validate(params)


def test_a_model_must_be_named_somewhere():
    ContentParams.model_validate({"topic": "a"}, context=Settings(_env_file=None, llm_model="llama3.2"))

    with pytest.raises(ValidationError, match="CALLSHEET_LLM_MODEL"):
        ContentParams.model_validate({"topic": "a"}, context=Settings(_env_file=None, llm_model=None))


@pytest.mark.parametrize(
    ("weights", "duration", "expected"),
    [([2, 6], 5, [1.5, 3.5]), ([0, 0], 3, [1.5, 1.5]), ([1, 1, 1], 10, [3.33, 3.33, 3.34]), ([0, 9], 1, [0.5, 0.5])],
)
def test_seconds_fit_the_duration(weights, duration, expected):
    assert fit_seconds(weights, duration) == expected


def test_the_schema_limits_the_text_to_what_can_be_said():
    short, long = (answer_schema(ContentParams(topic="a", scenes=2, duration=seconds)) for seconds in (6, 60))
    length = [s["properties"]["scenes"]["items"]["properties"]["text"]["maxLength"] for s in (short, long)]

    assert length == [60, 600]
    assert "$defs" not in short


@pytest.mark.parametrize(
    ("url", "said"),
    [("ftp://a", "starts with http"), ("http://u:p@host/v1", "must not have a user"), ("http://a/v1?k=b", "a query")],
)
def test_urls_that_cannot_be_used_are_refused(url, said):
    with pytest.raises(ValidationError, match=said):
        Settings(_env_file=None, llm_url=url)
