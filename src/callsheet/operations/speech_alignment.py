"""Times of spoken words by recognition, for engines that do not report them."""

from collections.abc import Sequence
from pathlib import Path

from callsheet.domain.errors import CallsheetError
from callsheet.media.probing.probe import probe_details
from callsheet.media.speech.audio_extract import extract_speech
from callsheet.media.speech.contract import SpeechEngine, Transcript, TranscriptionRequest
from callsheet.media.speech.engines import ENGINES
from callsheet.media.voice.word_times import TimedWord, Timing, align
from callsheet.operation_api.contract import Context
from callsheet.operations.transcription_cache import transcribe_cached


async def recognize_times(
    job: Context, audio: Path, estimated: Sequence[TimedWord]
) -> tuple[list[TimedWord], Timing, list[str]]:
    """Return the words with the times at which they are recognized in the audio; and notes.

    The estimated times are kept, with a note that says why, if speech recognition is not installed, fails, or finds
    other words: the audio is good without it.
    """
    engine = next((engine for engine in ENGINES.values() if engine.installed()), None)
    if engine is None:
        commands = " or ".join(engine.install_with for engine in ENGINES.values())
        return list(estimated), "estimated", [f"the times of words are estimated; to recognize them: {commands}"]
    try:
        transcript = await _transcribe(job, engine, audio)
    except CallsheetError as error:
        return list(estimated), "estimated", [f"the times of words are estimated: {error.message}"]
    if (words := align(estimated, transcript.words)) is None:
        return list(estimated), "estimated", ["the times of words are estimated: most of them were not recognized"]
    return words, "aligned", []


async def _transcribe(job: Context, engine: SpeechEngine, audio: Path) -> Transcript:
    extracted = job.dir / "recognized.wav"
    await extract_speech(job.ffmpeg, await probe_details(audio), extracted)
    request = TranscriptionRequest(audio=extracted, model=job.settings.caption_model)
    return await transcribe_cached(
        job, engine, request, lambda share: job.progress(0.85 + 0.1 * share, "recognizing the words")
    )
