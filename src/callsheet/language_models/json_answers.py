"""Answers that are JSON of a given form: checked, and repaired by the model itself, a limited number of times."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from callsheet.domain.document_limits import check_size
from callsheet.domain.errors import BadAnswer, Problem
from callsheet.domain.validation_problems import validation_problems
from callsheet.language_models.chat import ChatAnswer, ChatRequest, Message
from callsheet.language_models.server import LanguageModelServer

_THOUGHT, _THOUGHT_END = "<think>", "</think>"
_MAX_STARTS = 50
"""Places at which a JSON object may begin inside of an answer."""
_MAX_REPEATED = 8_000
"""Characters of a refused answer that are sent back."""
_MAX_PROBLEMS = 20

M = TypeVar("M", bound=BaseModel)
OnProgress = Callable[[int, int], None]
"""Called with the number of the try, from 1, and the characters of its answer so far."""


@dataclass(frozen=True, slots=True)
class JsonAnswer(Generic[M]):
    """A checked answer, and what it took."""

    value: M
    model: str
    """The server's name of the model."""
    tries: int
    prompt_tokens: int | None
    """Tokens of all tries together; None if the server does not count them."""
    completion_tokens: int | None


async def ask_for_json(
    server: LanguageModelServer, request: ChatRequest, kind: type[M], *, tries: int, on_progress: OnProgress
) -> JsonAnswer[M]:
    """Ask a model for JSON that is a valid `kind`, and return it.

    An invalid answer is sent back with its problems, until it is right, or `tries` answers were wrong. Raises
    BadAnswer then, and the errors of `LanguageModelServer.answer`.
    """
    answers: list[ChatAnswer] = []
    problems: list[Problem] = []
    for number in range(1, tries + 1):
        answer = await server.answer(_numbered(request, number), lambda length: on_progress(number, length))  # noqa: B023 - awaited
        answers.append(answer)
        try:
            value = read_json(answer.text, kind)
        except InvalidAnswer as error:
            problems = error.problems
            request = _with_repair(request, answer, problems)
            continue
        return JsonAnswer(
            value=value,
            model=answer.model or request.model,
            tries=number,
            prompt_tokens=_sum([each.prompt_tokens for each in answers]),
            completion_tokens=_sum([each.completion_tokens for each in answers]),
        )
    raise _failure(request, answers[-1], problems, tries)


class InvalidAnswer(Exception):
    """An answer that is not JSON of the given form."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(repr, problems)))
        self.problems = problems


def read_json(answer: str, kind: type[M]) -> M:
    """Return the JSON object in an answer, parsed as `kind`. Raises InvalidAnswer with all problems.

    Text around the object, such as an introduction, a Markdown fence or the thoughts of a reasoning model, is skipped.
    """
    found = find_object(answer)
    if found is None:
        raise InvalidAnswer([Problem("", "unreadable", "the answer contains no complete JSON object")])
    try:
        check_size(found)
        return kind.model_validate(found)
    except ValidationError as error:
        raise InvalidAnswer(list(validation_problems(error, kind, found))[:_MAX_PROBLEMS]) from None
    except ValueError as error:  # too deep, or too many values
        raise InvalidAnswer([Problem("", "too_large", str(error))]) from None


def find_object(answer: str) -> dict[str, Any] | None:
    """Return the first complete JSON object in a text; None without one."""
    text = _without_thoughts(answer)
    decoder = json.JSONDecoder()
    start = text.find("{")
    for _ in range(_MAX_STARTS):
        if start < 0:
            return None
        try:
            value, _end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        return value if isinstance(value, dict) else None
    return None


def _numbered(request: ChatRequest, number: int) -> ChatRequest:
    key = request.idempotency_key
    return request if key is None else replace(request, idempotency_key=f"{key}-try{number}")


def _with_repair(request: ChatRequest, answer: ChatAnswer, problems: list[Problem]) -> ChatRequest:
    """Return the first question with the latest refused answer. Older ones would only fill the context."""
    if answer.cut_off:
        lines = [f"- The answer was cut off after {request.max_tokens} tokens. Write much shorter texts."]
    else:
        lines = [f"- {problem.path or 'answer'}: {problem.message}" for problem in problems]
    repair = "Your answer was refused:\n" + "\n".join(lines) + "\nAnswer again with the complete JSON object only."
    kept = tuple(message for message in request.messages if message.role != "assistant")[:2]
    refused = Message("assistant", answer.text[:_MAX_REPEATED] or "(empty)")
    return replace(request, messages=(*kept, refused, Message("user", repair)))


def _failure(request: ChatRequest, answer: ChatAnswer, problems: list[Problem], tries: int) -> BadAnswer:
    if answer.cut_off:
        reason = f"it was cut off after {request.max_tokens} tokens (maxTokens)"
    else:
        reason = "; ".join(f"{problem.path or 'answer'}: {problem.message}" for problem in problems[:5])
    count = "its answer" if tries == 1 else f"its last of {tries} answers"
    return BadAnswer(f"The model {request.model} did not answer in the required form. Of {count}: {reason}")


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _without_thoughts(answer: str) -> str:
    """Return an answer without the parts between `<think>` and `</think>`."""
    kept, end = [], 0
    while (start := answer.find(_THOUGHT, end)) >= 0 and (close := answer.find(_THOUGHT_END, start)) >= 0:
        kept.append(answer[end:start])
        end = close + len(_THOUGHT_END)
    return "".join([*kept, answer[end:]])
