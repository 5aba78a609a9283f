"""What an uploaded file is, and the choice of an earlier one in the forms of the console."""

import asyncio
import hashlib

import imageio_ffmpeg
import pytest
from playwright.async_api import expect

from callsheet.api import upload_probes

from .test_browser import PHONE, browser, locked, log_in, opened, pytestmark, width_of  # noqa: F401 - fixtures

PLAN = {
    "name": "card",
    "inputs": {"clip": {"type": "file"}},
    "jobs": [{"id": "a", "operation": "noop", "params": {"value": "${inputs.clip}"}}],
}


@pytest.fixture
async def clip(tmp_path):
    """A video of two seconds with sound."""
    path = tmp_path / "clip.mp4"
    sources = ["-f", "lavfi", "-i", "testsrc=s=320x180:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2", "-shortest"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *sources, str(path)]
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0
    return path


async def sent(api, data, name):
    """Upload a file; return its record."""
    announced = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "name": name}
    upload = (await api.client.post("/api/uploads", json=announced)).json()
    answer = await api.client.patch(f"/api/uploads/{upload['id']}", content=data, headers={"Upload-Offset": "0"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def probe_of(api, upload):
    return await api.client.get(f"/api/uploads/{upload['id']}/probe")


async def test_the_probe_of_an_upload_says_what_the_file_is(api, clip):
    upload = await sent(api, clip.read_bytes(), "clip.mp4")
    answers = await asyncio.gather(*(probe_of(api, upload) for _ in range(4)))

    assert {each.status_code for each in answers} == {200}
    probe = answers[0].json()["probe"]
    assert (probe["width"], probe["height"], probe["fps"], probe["videoCodec"]) == (320, 180, 25.0, "h264")
    assert probe["duration"] == pytest.approx(2, abs=0.1)
    assert probe["audioCodec"] == "aac"
    assert list(api.runtime.settings.scratch_dir.rglob("probe-*")) == []


async def test_files_without_media_and_incomplete_or_unknown_uploads_have_no_probe(api):
    text = await sent(api, b"# no media\n" * 50, "notes.txt")
    announced = {"sha256": "0" * 64, "size": 9, "name": "x.mp4"}
    incomplete = (await api.client.post("/api/uploads", json=announced)).json()

    assert (await probe_of(api, text)).json() == {"probe": None, "tooLarge": False}
    assert (await probe_of(api, incomplete)).status_code == 409
    assert (await probe_of(api, {"id": "019ab1f0-0000-7000-8000-000000000000"})).status_code == 404


async def test_a_file_that_is_too_large_is_not_copied_to_be_probed(api, clip, monkeypatch):
    monkeypatch.setattr(upload_probes, "_MAX_SIZE", 1000)
    upload = await sent(api, clip.read_bytes(), "clip.mp4")

    assert (await probe_of(api, upload)).json() == {"probe": None, "tooLarge": True}


async def test_a_form_shows_what_an_upload_is_and_offers_it_again(browser, locked, clip):  # noqa: F811
    await locked.client.post("/api/plans", json={"name": "card", "plan": PLAN})
    page, faults = await opened(browser, locked, viewport=PHONE)
    await log_in(page)
    await page.goto("/console/plans/card")
    await page.get_by_label("File for Clip").set_input_files(clip)
    facts = page.locator("output.facts")
    await expect(facts).to_contain_text("320×180 · 25 frames per second · h264 · aac")

    await page.reload()
    await page.get_by_text("Choose an earlier upload or artifact").click()
    await expect(page.locator(".picker [role=status]")).to_have_text("There is none.")
    await page.get_by_label("Artifacts or uploads for Clip").select_option("Uploads")
    choice = page.locator(".picker li button")
    await expect(choice).to_have_count(1)
    assert await width_of(page) == PHONE["width"]
    search = page.get_by_label("Search among those for Clip")
    await search.fill("nothing like this")
    await expect(choice).to_be_hidden()
    await search.press("Enter")
    await search.fill("video/mp4")
    await choice.press("Enter")

    source = f"storage:uploads/{hashlib.sha256(clip.read_bytes()).hexdigest()}.mp4"
    await expect(page.locator("[name='field.clip']")).to_have_value(source)
    await expect(facts).to_contain_text("320×180")
    await page.locator("[name='field.clip']").fill("https://example.com/other.mp4")
    await expect(facts).to_have_text("")
    assert faults == []
