"""Speech that is written down once: what was heard in a sound is kept for the next time."""

import asyncio
import hashlib
import json
from collections.abc import Callable

from pydantic import TypeAdapter

from callsheet.media.speech.contract import SpeechEngine, Transcript, TranscriptionRequest
from callsheet.operation.contract import Context

_TRANSCRIPT = TypeAdapter(Transcript)


async def transcribe_cached(
    job: Context, engine: SpeechEngine, wish: TranscriptionRequest, on_progress: Callable[[float], None]
) -> Transcript:
    """Return what is said, from the cache where the same engine has heard the same before.

    Raises as `SpeechEngine.transcribe` does.
    """
    key = await asyncio.to_thread(_key, engine.identity(wish.model, job.settings), wish)
    kept = job.dir / "transcript.json"
    if await job.cache.fetch(key, kept):
        return _TRANSCRIPT.validate_json(await asyncio.to_thread(kept.read_bytes))
    heard = await engine.transcribe(wish, job.settings, on_progress)
    await asyncio.to_thread(kept.write_bytes, _TRANSCRIPT.dump_json(heard))
    await job.cache.keep(key, kept)
    return heard


def _key(engine: str, wish: TranscriptionRequest) -> str:
    with wish.audio.open("rb") as file:
        sound = hashlib.file_digest(file, "sha256").hexdigest()
    made_of = json.dumps([engine, wish.language, wish.task, sound])
    return f"speech/{hashlib.sha256(made_of.encode()).hexdigest()}"
