"""Graphs with the tasks `f5_to_tts` and `infinite_talk` of an existing control plane."""

from callsheet.domain.plan_validation import check_plan, read_plan
from callsheet.intake.redis_streams.graph import nodes_to_run, plan_of, read_graph
from callsheet.intake.redis_streams.intake import capability_manifest
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.speech import speech
from callsheet.operations.talk import talk

CATALOG = Catalog([speech, talk])
GRAPH = {
    "jobId": "7",
    "nodes": [
        {
            "id": "voice",
            "plane": "python",
            "task": "f5_to_tts",
            "params": {"gen_text": "Hello there.", "ref_audio": "storage:voices/me.wav", "ref_text": "Hi, it is me."},
        },
        {
            "id": "face",
            "plane": "python",
            "task": "infinite_talk",
            "params": {"image": "storage:faces/me.png", "frame_window_size": 81, "motion_frame": 9, "steps": 4},
            "inputs": {"audio": "voice.audio"},
        },
    ],
}


def test_both_tasks_become_one_plan_of_speech_and_talk():
    graph = read_graph(GRAPH)

    checked = check_plan(read_plan(plan_of(graph, nodes_to_run(graph))), CATALOG, max_jobs=10)

    assert checked.operations == {"voice": "speech", "face": "talk"}
    assert checked.upstream == {"voice": [], "face": ["voice"]}
    voice, face = checked.plan.jobs
    assert face.params["audio"] == "${voice.audio}"
    assert voice.params["ref_audio"] == "storage:voices/me.wav"


def test_the_manifest_of_capabilities_names_both_tasks():
    names = {task.name for task in capability_manifest(CATALOG).tasks}

    assert {"f5_to_tts", "infinite_talk"} <= names
