"""Files as inputs of plans on the command line: they are uploaded from here, and a missing one is reported here."""

import json

from .commands import command, command_json

PLAN = {
    "inputs": {"picture": {"type": "file"}, "text": {"default": "x"}},
    "jobs": [{"id": "a", "operation": "noop", "params": {"value": ["${inputs.picture}", "${inputs.text}"]}}],
}


async def pictures(api):
    """Return the picture that each stored execution has got."""
    listed = (await api.client.get("/api/executions")).json()["executions"]
    found = [(await api.client.get(f"/api/executions/{each['executionId']}")).json() for each in listed]
    return [each["jobs"][0]["params"]["value"][0] for each in found]


async def test_a_relative_path_that_leads_to_no_file_is_refused_and_an_absolute_one_is_left_for_workers(api, tmp_path):
    plan = tmp_path / "card.json"
    plan.write_text(json.dumps(PLAN))
    elsewhere = tmp_path / "elsewhere.png"

    refused = await command(api, "submit", str(plan), "--input", "picture=none.png", status=2)
    sent = await command(api, "submit", str(plan), "--input", f"picture={elsewhere}")

    assert "inputs.picture: There is no file 'none.png' here" in refused.stderr
    assert f"workers must have it: inputs.picture: {elsewhere}" in sent.stderr
    assert await pictures(api) == [str(elsewhere)]


async def test_urls_and_artifacts_are_no_paths(api, tmp_path):
    plan = tmp_path / "card.json"
    plan.write_text(json.dumps(PLAN))

    for source in ("https://example.com/a.png", "storage:uploads/a.png", "data:text/plain,a"):
        sent = await command(api, "submit", str(plan), "--input", f"picture={source}")
        assert "workers must have it" not in sent.stderr


async def test_files_of_a_table_are_uploaded_and_a_missing_one_names_its_row(api, tmp_path):
    (tmp_path / "card.json").write_text(json.dumps(PLAN))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    rows = [{"picture": str(tmp_path / "a.png")}, {"picture": "none.png"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "row.json").write_text(json.dumps(rows[:1]))

    refused = await command(
        api, "batches", "submit", str(tmp_path / "card.json"), str(tmp_path / "rows.json"), status=2
    )
    batch = await command_json(api, "batches", "submit", str(tmp_path / "card.json"), str(tmp_path / "row.json"))

    assert "inputs[1].picture: There is no file 'none.png' here" in refused.stderr
    uploads = (await api.client.get("/api/uploads")).json()["uploads"]
    assert batch["size"] == 1
    assert await pictures(api) == [uploads[0]["source"]]


async def test_a_batch_that_has_ended_is_not_said_to_be_cancelled(working, tmp_path):
    plan = {"inputs": {"text": {}}, "jobs": [{"id": "a", "operation": "noop", "params": {"value": "${inputs.text}"}}]}
    (tmp_path / "card.json").write_text(json.dumps(plan))
    path = str(tmp_path / "card.json")

    batch = await command_json(working, "batches", "submit", path, "--matrix", 'text=["a", "b"]')
    for execution in (await working.client.get(f"/api/executions?batch={batch['id']}")).json()["executions"]:
        await working.ended(execution["executionId"])
    ended = await command(working, "batches", "cancel", batch["id"])
    later = await command_json(working, "batches", "submit", path, "--matrix", 'text=["c"]')

    assert "have ended already" in ended.stderr
    assert later["size"] == 1
