"""Commands of F5-TTS, which trains a voice.

The options are those of `finetune_cli.py` and `prepare_csv_wavs.py` in commit 2ae2c9b of
https://github.com/SWivid/F5-TTS. F5-TTS reads its data from `data/<name>_pinyin` and writes to `ckpts/<name>`, both in
its own folder: `link_folders` makes these names lead to the folder of the training. It resumes by itself from the
newest checkpoint.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callsheet.domain.errors import ConfigurationError
from callsheet.training.commands import Command, options_text
from callsheet.training.kohya import Options
from callsheet.training.trainers import Machine, in_folder
from callsheet.training.voice_options import VoiceOptions

_PREPARE = "src/f5_tts/train/datasets/prepare_csv_wavs.py"
_TRAIN = "src/f5_tts/train/finetune_cli.py"
_TOKENIZER = "pinyin"
_PREPARE_WEIGHT = 0.05
_KEPT_CHECKPOINTS = -1
"""All of them."""


@dataclass(frozen=True, slots=True)
class VoiceRun:
    """The facts of one run."""

    name: str
    """Name of the data and of the checkpoints in the folder of F5-TTS."""
    folder: Path
    """Folder of the files of the training."""
    options: VoiceOptions

    @property
    def csv_path(self) -> Path:
        """Path of the list of recordings."""
        return self.folder / "metadata.csv"

    @property
    def data_path(self) -> Path:
        """Folder of the prepared recordings."""
        return self.folder / "data"


def voice_commands(run: VoiceRun, machine: Machine) -> list[Command]:
    """Return the commands: prepare the recordings, train."""
    options = run.options
    folder = machine.folder("f5_tts_path", _TRAIN)
    python = machine.python("f5_tts_python", folder)
    prepare = (python, in_folder(folder, _PREPARE), str(run.csv_path), str(run.data_path))
    values: Options = {
        "exp_name": options.architecture,
        "dataset_name": run.name,
        "learning_rate": options.learning_rate,
        "batch_size_per_gpu": options.batch_frames,
        "batch_size_type": "frame",
        "grad_accumulation_steps": options.gradient_accumulation,
        "epochs": options.epochs,
        "num_warmup_updates": options.warmup_updates,
        "save_per_updates": options.save_every_updates,
        "last_per_updates": options.save_every_updates,
        "keep_last_n_checkpoints": _KEPT_CHECKPOINTS,
        "finetune": True,
        "pretrain": machine.base_model("f5-tts", options.base_model),
        "tokenizer": _TOKENIZER,
        "log_samples": options.samples,
    }
    train = machine.accelerate(python, in_folder(folder, _TRAIN))
    return [
        Command("preparing the recordings", prepare, folder, weight=_PREPARE_WEIGHT),
        Command("training", (*train, *options_text(values)), folder),
    ]


def recordings_csv(recordings: Sequence[tuple[Path, str]]) -> str:
    """Return the list of recordings with their texts, as `prepare_csv_wavs.py` reads it."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="|", lineterminator="\n")
    writer.writerow(("audio_file", "text"))
    writer.writerows((str(path), " ".join(transcript.split())) for path, transcript in recordings)
    return text.getvalue()


def link_folders(run: VoiceRun, machine: Machine) -> None:
    """Make the names in the folder of F5-TTS lead to the folder of the training. Raises ConfigurationError."""
    root = machine.folder("f5_tts_path", _TRAIN)
    assert root is not None  # noqa: S101 - it was found before
    run.data_path.mkdir(exist_ok=True)
    for link, target in (
        (root / "data" / f"{run.name}_{_TOKENIZER}", run.data_path),
        (root / "ckpts" / run.name, run.folder),
    ):
        try:
            link.parent.mkdir(exist_ok=True)
            if link.is_symlink():
                link.unlink()
            link.symlink_to(target, target_is_directory=True)
        except OSError as error:
            raise ConfigurationError(f"{link} cannot be created (CALLSHEET_F5_TTS_PATH): {error.strerror}") from None
