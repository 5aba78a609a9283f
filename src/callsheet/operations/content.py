"""The `content` operation: a language model writes the texts of a video."""

import asyncio
import json
from datetime import timedelta

from callsheet.domain.errors import BadParams, Problem
from callsheet.language_models.chat import ChatRequest
from callsheet.language_models.json_answers import JsonAnswer, OnProgress, ask_for_json
from callsheet.language_models.server import open_server
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.content_answer import (
    ContentAnswer,
    answer_model,
    answer_schema,
    fit_seconds,
    messages_for,
)
from callsheet.operations.content_params import ContentParams, ContentResult, ContentScene

_CHARACTERS_PER_SCENE = 300
"""Of a usual answer. The progress of a job is estimated with it."""


@operation(
    "content",
    queue="generate",
    timeout=timedelta(minutes=30),
    # Most attempts are used while the server does not respond.
    attempts=10,
    aliases=("content-generation",),
)
async def content(job: Context, params: ContentParams) -> ContentResult:
    """Write caption, script, scenes and prompts of a video with a language model."""
    model = params.model or job.settings.llm_model
    if model is None:
        raise BadParams([Problem("model", "missing", "name a language model here, or in CALLSHEET_LLM_MODEL")])
    request = ChatRequest(
        model=model,
        messages=messages_for(params),
        schema=answer_schema(params),
        max_tokens=params.max_tokens,
        temperature=params.temperature,
        seed=params.seed,
        # The same in every attempt: a server that knows the header answers, and bills, a repeated request once.
        idempotency_key=f"callsheet-{job.id}",
    )
    async with open_server(job.settings) as server:
        answer = await ask_for_json(
            server, request, answer_model(params), tries=params.tries, on_progress=_progress(job, params)
        )
    return await _result(job, params, answer)


def _progress(job: Context, params: ContentParams) -> OnProgress:
    usual = _CHARACTERS_PER_SCENE * (params.scenes + 1)

    def report(number: int, characters: int) -> None:
        # The length of an answer is not known before its end.
        share = 0.95 * characters / (characters + usual / 2)
        again = f", try {number} of {params.tries}" if number > 1 else ""
        job.progress(share, f"{characters:,} characters{again}")

    return report


async def _result(job: Context, params: ContentParams, answer: JsonAnswer[ContentAnswer]) -> ContentResult:
    texts = answer.value
    seconds = fit_seconds([scene.seconds for scene in texts.scenes], params.duration)
    scenes = [
        ContentScene(text=scene.text, prompt=scene.prompt, seconds=length)
        for scene, length in zip(texts.scenes, seconds, strict=True)
    ]
    written = {
        "title": texts.title,
        "caption": texts.caption,
        "hashtags": texts.hashtags,
        "script": "\n\n".join(scene.text for scene in scenes),
        "scenes": scenes,
        "duration": params.duration,
        "language": params.language,
    }
    file = job.dir / "content.json"
    shown = written | {"scenes": [scene.model_dump(by_alias=True) for scene in scenes]}
    await asyncio.to_thread(file.write_text, json.dumps(shown, ensure_ascii=False, indent=2) + "\n", "utf-8")
    return ContentResult(
        **written,
        file=await job.keep(file),
        model=answer.model,
        tries=answer.tries,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )
