"""Cache of transcripts, by engine, model, request and audio."""

import asyncio
import hashlib
import json
from collections.abc import Callable

from pydantic import TypeAdapter

from callsheet.files.digest import sha256_of_file
from callsheet.media.speech.contract import SpeechEngine, Transcript, TranscriptionRequest
from callsheet.operation_api.contract import Context

_TRANSCRIPT = TypeAdapter(Transcript)


async def transcribe_cached(
    job: Context, engine: SpeechEngine, request: TranscriptionRequest, on_progress: Callable[[float], None]
) -> Transcript:
    """Return the transcript from the cache, or transcribe and cache it.

    Raises the errors of `SpeechEngine.transcribe`.
    """
    key = await asyncio.to_thread(_cache_key, engine.identity(request.model, job.settings), request)
    path = job.dir / "transcript.json"
    if await job.cache.fetch(key, path):
        return _TRANSCRIPT.validate_json(await asyncio.to_thread(path.read_bytes))
    transcript = await engine.transcribe(request, job.settings, on_progress)
    await asyncio.to_thread(path.write_bytes, _TRANSCRIPT.dump_json(transcript))
    await job.cache.keep(key, path)
    return transcript


def _cache_key(engine: str, request: TranscriptionRequest) -> str:
    parts = json.dumps([engine, request.language, request.task, sha256_of_file(request.audio)])
    return f"speech/{hashlib.sha256(parts.encode()).hexdigest()}"
