"""Rendered commands have only options that the trainers have.

`trainer_options.json` has the options of the real parsers: see tools/record_trainer_options.py.
"""

import json
from itertools import product
from pathlib import Path

import pytest

from callsheet.domain.errors import BadParams, ConfigurationError
from callsheet.settings import Settings
from callsheet.training.dataset_files import DatasetFile, Subset
from callsheet.training.f5_tts import VoiceRun, voice_commands
from callsheet.training.lora_profiles import commands_of, config_of, file_name_of
from callsheet.training.lora_run import LoraRun, Resume
from callsheet.training.options import LoraOptions
from callsheet.training.trainers import Machine
from callsheet.training.voice_options import VoiceOptions

OPTIONS = json.loads(Path(__file__).with_name("trainer_options.json").read_text())

LENGTHS = [{"epochs": 4}, {"steps": 900, "save_every_steps": 100}]
RICH = {
    "batch_size": 2,
    "optimizer": "AdamW8bit",
    "scheduler": "cosine",
    "warmup_steps": 10,
    "gradient_accumulation": 4,
    "sample_prompts": ["a cat --out /etc/passwd"],
    "shuffle_caption": True,
}
PROFILES = [
    {"name": "sd15"},
    {"name": "sd15", "train_text_encoder": True, "clip_skip": 2, "noise_offset": 0.05, "min_snr_gamma": 5},
    {"name": "sdxl"},
    {"name": "sdxl", "train_text_encoder": True, "noise_offset": 0.05, "min_snr_gamma": 5},
    {"name": "flux"},
    {"name": "flux", "fp8": True, "blocks_to_swap": 18, "timestep_sampling": "sigmoid"},
    {"name": "wan"},
    {"name": "wan", "task": "i2v-A14B", "fp8": True, "blocks_to_swap": 20},
]


@pytest.fixture
def machine(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    for name in ("sd15", "sdxl", "flux1-dev", "clip_l", "t5xxl_fp16", "ae", "wan2.1_t2v_1.3B_bf16", "wan_2.1_vae"):
        (models / f"{name}.safetensors").touch()
    (models / "models_t5_umt5-xxl-enc-bf16.pth").touch()
    for trainer in ("kohya", "musubi"):
        (tmp_path / trainer / ".venv/bin").mkdir(parents=True)
        (tmp_path / trainer / ".venv/bin/python").touch()
    for script in ("train_network.py", "sdxl_train_network.py", "flux_train_network.py"):
        (tmp_path / "kohya" / script).touch()
    (tmp_path / "musubi/wan_train_network.py").touch()
    return Machine(
        Settings(
            _env_file=None,
            training_models=models,
            kohya_path=tmp_path / "kohya",
            musubi_path=tmp_path / "musubi",
            accelerate_args="--num_processes 1",
        )
    )


def run_of(tmp_path, resume=None, **options):
    subset = Subset(tmp_path / "set", None, [DatasetFile(tmp_path / "set/a.png", "a cat", 512, 512)])
    return LoraRun("face", tmp_path / "out/face", LoraOptions(**options), (subset,), 8, resume)


def check_against_parser(argv):
    """Check the arguments after the script as its parser does. Return them by option."""
    place = next(at for at, word in enumerate(argv) if word.endswith(".py"))
    known = OPTIONS[Path(argv[place]).name]["options"]
    words = list(argv[place + 1 :])
    given = {}
    while words:
        option = words.pop(0)
        assert option in known, f"{argv[place]} has no option {option}"
        facts = known[option]
        value = None if facts["values"] == "none" else words.pop(0)
        if facts.get("type"):
            {"int": int, "float": float}[facts["type"]](value)
        assert "choices" not in facts or value in map(str, facts["choices"])
        assert option not in given
        given[option] = value
    assert not {name for name, facts in known.items() if facts.get("required")} - given.keys()
    return given


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_every_rendered_option_exists_in_the_trainer(machine, tmp_path, profile):
    for length, rich, resumed in product(LENGTHS, ({}, RICH), (False, True)):
        resume = Resume(tmp_path / "out/face/face-000002-state", 2, 16) if resumed else None
        commands = commands_of(run_of(tmp_path, resume, profile=profile, **length, **rich), machine)

        given = check_against_parser(commands[-1].argv)
        assert machine.missing == []
        assert given["--output_dir"] == str(tmp_path / "out/face")
        assert ("--resume" in given) is resumed
        for command in commands[:-1]:
            check_against_parser(command.argv)


@pytest.mark.parametrize("options", [{}, {"base_model": "voice.pt", "samples": True, "architecture": "E2TTS_Base"}])
def test_every_option_of_the_voice_trainer_exists(tmp_path, options):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/voice.pt").touch()
    (tmp_path / "f5/src/f5_tts/train").mkdir(parents=True)
    (tmp_path / "f5/src/f5_tts/train/finetune_cli.py").touch()
    (tmp_path / "f5/python").touch()
    machine = Machine(
        Settings(
            _env_file=None,
            training_models=tmp_path / "models",
            f5_tts_path=tmp_path / "f5",
            f5_tts_python=tmp_path / "f5/python",
        )
    )
    prepare, train = voice_commands(VoiceRun("me", tmp_path / "out/me", VoiceOptions(**options)), machine)

    assert machine.missing == []
    given = check_against_parser(train.argv)
    assert given["--dataset_name"] == "me"
    assert given.get("--pretrain") == (str(tmp_path / "models/voice.pt") if options else None)
    known = OPTIONS["prepare_csv_wavs.py"]["options"]
    assert [name for name, facts in known.items() if facts.get("required")] == ["inp_dir", "out_dir"]
    assert list(prepare.argv[2:]) == [str(tmp_path / "out/me/metadata.csv"), str(tmp_path / "out/me/data")]


def test_the_recorded_options_name_their_commit():
    assert {facts["repository"] for facts in OPTIONS.values()} == {
        "kohya-ss/sd-scripts",
        "kohya-ss/musubi-tuner",
        "SWivid/F5-TTS",
    }
    assert all(len(facts["commit"]) == 40 for facts in OPTIONS.values())


def test_the_command_of_kohya_is_complete(machine, tmp_path):
    [command] = commands_of(run_of(tmp_path, profile="sdxl", epochs=3, network_dim=8), machine)

    kohya = tmp_path / "kohya"
    assert command.argv[:4] == (
        str(kohya / ".venv/bin/python"),
        "-m",
        "accelerate.commands.launch",
        "--num_cpu_threads_per_process",
    )
    assert command.argv[4:10] == (
        "1",
        "--mixed_precision",
        "bf16",
        "--num_processes",
        "1",
        str(kohya / "sdxl_train_network.py"),
    )
    given = check_against_parser(command.argv)
    assert given["--pretrained_model_name_or_path"] == str(tmp_path / "models/sdxl.safetensors")
    assert (given["--max_train_epochs"], given["--network_dim"], given["--network_alpha"]) == ("3", "8", "8")
    assert given["--network_module"] == "networks.lora"
    assert command.cwd == kohya


def test_a_resumed_kohya_training_continues_at_its_epoch(machine, tmp_path):
    [command] = commands_of(run_of(tmp_path, Resume(tmp_path / "state", 2, 16), epochs=5), machine)

    given = check_against_parser(command.argv)
    assert (given["--initial_epoch"], given["--max_train_epochs"]) == ("3", "5")
    assert command.first_step == 16


def test_a_resumed_wan_training_trains_only_the_remaining_epochs(machine, tmp_path):
    run = run_of(tmp_path, Resume(tmp_path / "state", 2, 16), profile="wan", epochs=5)
    command = commands_of(run, machine)[-1]

    given = check_against_parser(command.argv)
    assert (given["--max_train_epochs"], given["--output_name"]) == ("3", "face-after-2")
    assert file_name_of(run) == "face-after-2"
    assert (command.first_step, command.counts_all_steps) == (16, False)


def test_kohya_accepts_the_dataset_configuration(tmp_path):
    config = config_of(run_of(tmp_path, profile="sdxl", caption="a cat", repeats=3))

    [dataset] = config["datasets"]
    assert dataset["subsets"] == [{"image_dir": str(tmp_path / "set"), "num_repeats": 3, "class_tokens": "a cat"}]
    assert dataset["resolution"] == 1024


def test_images_and_videos_of_a_wan_folder_are_two_datasets(tmp_path):
    files = [DatasetFile(tmp_path / "a.png", "x", 512, 512), DatasetFile(tmp_path / "b.mp4", "x", 512, 512, 50)]
    run = LoraRun("face", tmp_path / "out", LoraOptions(profile="wan"), (Subset(tmp_path, 4, files),), 8)
    images, videos = config_of(run)["datasets"]

    assert (images["image_directory"], images["num_repeats"]) == (str(tmp_path), 4)
    assert (videos["video_directory"], videos["target_frames"]) == (str(tmp_path), [1, 25])
    assert images["cache_directory"] != videos["cache_directory"]


def test_a_machine_without_trainers_lists_everything_that_is_missing(tmp_path):
    machine = Machine(Settings(_env_file=None))
    [command] = commands_of(run_of(tmp_path, profile="flux"), machine)

    check_against_parser(command.argv)
    assert [sentence.partition(" ")[0] for sentence in machine.missing] == [
        "CALLSHEET_KOHYA_PATH",
        *["CALLSHEET_TRAINING_MODELS"] * 4,
    ]


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "none.safetensors"])
def test_a_base_model_outside_of_the_folder_of_models_is_refused(machine, tmp_path, name):
    with pytest.raises(BadParams) as refused:
        commands_of(run_of(tmp_path, base_model=name), machine)
    assert refused.value.problems[0].path == "baseModel"


def test_a_base_model_of_the_settings_outside_of_the_folder_is_an_error_of_the_settings(tmp_path):
    machine = Machine(Settings(_env_file=None, training_models=tmp_path, training_base_models="sd15=../up.safetensors"))
    with pytest.raises(ConfigurationError, match="TRAINING_BASE_MODELS"):
        commands_of(run_of(tmp_path), machine)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1, "steps": 2}, "epochs or steps"),
        ({"save_every_epochs": 1, "save_every_steps": 2}, "not both"),
        ({"profile": "sd2"}, "sd2"),
        ({"profile": {"name": "wan", "frames": [24]}}, "multiple of 4"),
        ({"profile": {"name": "diffusers-peft", "target_modules": ["to_q;rm"]}}, "pattern"),
        ({"resolution": 500}, "multiple of 8"),
        ({"buckets": {"min_size": 2048, "max_size": 512}}, "above maxSize"),
        ({"resolution": 3072}, "outside the sizes of the buckets"),
        ({"profile": "sd15", "buckets": {"step": 32}}, "multiple of 64"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LoraOptions(**options)
