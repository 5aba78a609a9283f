"""Uploads over a real socket."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import pytest
from pydantic import SecretStr

from callsheet.client.sync_client import SyncClient
from callsheet.db.statements import sql
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.engine.submissions.input_urls import input_url
from callsheet.engine.uploads import delete_expired_uploads
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import Context, operation
from callsheet.testing.operations import ALL, AnyValue
from callsheet.testing.waiters import until

from .conftest import served

PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(3_000_000)


class Source(Model):
    source: MediaSource


@operation("measure", queue="test")
async def measure(job: Context, params: Source) -> AnyValue:
    """Return the suffix and the size of a file."""
    path = await job.fetch_input(params.source)
    return AnyValue(value=[path.suffix, path.stat().st_size])


@pytest.fixture
def catalog():
    return Catalog([*ALL, measure])


def digest(data):
    return hashlib.sha256(data).hexdigest()


def announcement(data, name="photo.png"):
    return {"sha256": digest(data), "size": len(data), "name": name}


async def announce(api, data, name="photo.png"):
    response = await api.client.post("/api/uploads", json=announcement(data, name))
    return response.status_code, response.json()


async def send(api, upload, data, *, offset=0):
    return await api.client.patch(
        f"/api/uploads/{upload['id']}", content=data[offset:], headers={"Upload-Offset": str(offset)}
    )


async def uploaded(api, data, name="photo.png"):
    _, upload = await announce(api, data, name)
    response = await send(api, upload, data)
    assert response.status_code == 200, response.text
    return response.json()


def stored_uploads(api):
    return sorted(path.name for path in (api.runtime.settings.files_dir / "uploads").glob("*"))


async def test_a_file_is_uploaded_once_and_a_plan_can_use_it(working):
    status, upload = await announce(working, PNG)
    assert (status, upload["offset"], upload["complete"], upload["uploadUrl"]) == (201, 0, False, None)

    complete = (await send(working, upload, PNG)).json()

    assert complete["source"] == f"storage:uploads/{digest(PNG)}.png"
    assert (complete["complete"], complete["mediaType"], complete["offset"]) == (True, "image/png", len(PNG))
    status, again = await announce(working, PNG, "other name.PNG")
    assert (status, again["id"], again["complete"]) == (200, upload["id"], True)
    assert stored_uploads(working) == [f"{digest(PNG)}.png"]
    execution = await working.ended(await working.submit(("measure", "measure", {"source": complete["source"]})))
    assert execution["jobs"][0]["result"] == {"value": [".png", len(PNG)]}


async def test_an_upload_continues_after_a_cut_connection(api):
    _, upload = await announce(api, PNG)
    path = f"/api/uploads/{upload['id']}"
    partial = api.app.state.partial_uploads

    async def cut():
        yield PNG[:2_000_000]
        await until(lambda: partial.offset(UUID(upload["id"])))
        raise httpx2.ReadError("the cable was pulled")

    with pytest.raises(httpx2.ReadError):
        await api.client.patch(path, content=cut(), headers={"Upload-Offset": "0"})
    await until(lambda: not partial._in_use)
    offset = (await api.client.get(path)).json()["offset"]
    assert 2**20 <= offset <= 2_000_000

    wrong = await send(api, upload, PNG, offset=1)
    assert (wrong.status_code, wrong.json()["code"]) == (409, "offset_conflict")
    assert f"byte {offset}" in wrong.json()["detail"]
    assert (await send(api, upload, PNG, offset=offset)).json()["complete"]


async def test_only_one_request_at_a_time_sends_a_file(api):
    _, upload = await announce(api, PNG)
    path = f"/api/uploads/{upload['id']}"
    release = asyncio.Event()

    async def slow():
        yield PNG[:100_000]
        await release.wait()
        yield PNG[100_000:]

    first = asyncio.create_task(api.client.patch(path, content=slow(), headers={"Upload-Offset": "0"}))
    await until(lambda: api.app.state.partial_uploads._in_use)
    second = await send(api, upload, PNG)
    release.set()

    assert (second.status_code, second.json()["code"]) == (409, "offset_conflict")
    assert (await first).json()["complete"]


async def test_a_file_with_another_digest_is_deleted(api):
    _, upload = await announce(api, PNG)
    other = PNG[:-1] + bytes([PNG[-1] ^ 1])

    response = await send(api, upload, other)

    assert (response.status_code, response.json()["code"]) == (422, "digest_mismatch")
    assert stored_uploads(api) == []
    assert (await api.client.get(f"/api/uploads/{upload['id']}")).json()["offset"] == 0
    assert (await send(api, upload, PNG)).json()["complete"]


async def test_limits_of_size_and_quota_are_enforced(settings, catalog):
    limited = settings.model_copy(update={"upload_max_bytes": 1_000_000, "upload_quota_bytes": 1_500_000})
    async with served(limited, catalog) as api:
        too_large = await api.client.post("/api/uploads", json=announcement(PNG))
        assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")
        assert "CALLSHEET_UPLOAD_MAX_BYTES" in too_large.json()["detail"]

        first = PNG[:900_000]
        _, upload = await announce(api, first)
        beyond = await api.client.patch(
            f"/api/uploads/{upload['id']}", content=PNG[:950_000], headers={"Upload-Offset": "0"}
        )
        assert (beyond.status_code, beyond.json()["code"]) == (413, "too_large")

        full = await api.client.post("/api/uploads", json=announcement(PNG[:800_000]))
        assert (full.status_code, full.json()["code"]) == (413, "quota_exceeded")
        assert "CALLSHEET_UPLOAD_QUOTA_BYTES" in full.json()["detail"]


async def test_a_part_larger_than_the_body_limit_of_other_routes_is_accepted(settings, catalog):
    async with served(settings.model_copy(update={"max_body_bytes": 100_000}), catalog) as api:
        assert (await uploaded(api, PNG))["complete"]


async def test_invalid_announcements_name_every_problem(api):
    response = await api.client.post("/api/uploads", json={"sha256": "ABC", "size": -1, "name": "../../etc/passwd"})

    assert response.status_code == 422
    assert [problem["path"] for problem in response.json()["errors"]] == ["sha256", "size"]


async def test_names_of_clients_are_never_paths(api):
    upload = await uploaded(api, b"text", name="../../../etc/pass/../wd.Ünsafe/../..txt")
    assert upload["source"] == f"storage:uploads/{digest(b'text')}.txt"
    assert (await uploaded(api, b"text", name="x.<script>"))["source"] == f"storage:uploads/{digest(b'text')}"
    assert upload["mediaType"] == "text/plain"


async def test_the_content_decides_the_media_type(api):
    assert (await uploaded(api, PNG, name="page.html"))["mediaType"] == "image/png"


async def test_an_empty_file_can_be_uploaded(api):
    assert (await uploaded(api, b"", name="empty.srt"))["complete"]


async def test_a_file_that_is_gone_from_the_storage_is_asked_for_again(api):
    upload = await uploaded(api, PNG)
    await api.runtime.storage.delete([upload["source"].removeprefix("storage:")])

    status, again = await announce(api, PNG)

    assert (status, again["complete"], again["offset"]) == (201, False, 0)
    assert (await send(api, again, PNG)).json()["complete"]


async def test_unused_uploads_expire_unless_an_unfinished_execution_needs_them(api):
    used, unused, young = [await uploaded(api, bytes([n]) * 10) for n in range(3)]
    await api.submit(("a", "noop", {"value": used["source"]}))
    async with api.runtime.database.connection() as connection:
        await connection.execute(
            "UPDATE uploads SET used_at = now() - interval '8 days' WHERE sha256 <> $1", young["sha256"]
        )

    async def clean():
        return await delete_expired_uploads(api.runtime.database, api.runtime.storage, max_age=timedelta(days=7))

    assert await clean() == 1
    assert (await api.client.get(f"/api/uploads/{unused['id']}")).status_code == 404
    assert stored_uploads(api) == sorted(f"{each['sha256']}.png" for each in (used, young))
    assert await clean() == 0


async def test_uploads_are_listed_newest_first_in_pages(api):
    complete = await uploaded(api, b"first")
    _, second = await announce(api, b"second")
    await api.client.patch(f"/api/uploads/{second['id']}", content=b"sec", headers={"Upload-Offset": "0"})
    _, third = await announce(api, b"third")

    first_page = (await api.client.get("/api/uploads", params={"limit": 2})).json()
    last_page = (await api.client.get("/api/uploads", params={"limit": 2, "cursor": first_page["nextCursor"]})).json()

    found = [*first_page["uploads"], *last_page["uploads"]]
    assert [(each["id"], each["offset"], each["complete"]) for each in found] == [
        (third["id"], 0, False),
        (second["id"], 3, False),
        (complete["id"], 5, True),
    ]
    assert last_page["nextCursor"] is None
    assert (await api.client.get("/api/uploads", params={"cursor": "forged"})).json()["code"] == "bad_cursor"


async def test_a_deleted_upload_is_gone_with_its_file_and_can_be_sent_again(api):
    complete = await uploaded(api, b"first")
    _, incomplete = await announce(api, b"second")
    await api.client.patch(f"/api/uploads/{incomplete['id']}", content=b"sec", headers={"Upload-Offset": "0"})

    deleted = [await api.client.delete(f"/api/uploads/{each['id']}") for each in (complete, incomplete)]
    again = await api.client.delete(f"/api/uploads/{complete['id']}")

    assert [(response.status_code, response.content) for response in deleted] == [(204, b""), (204, b"")]
    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    assert (await api.client.get("/api/uploads")).json()["uploads"] == []
    assert stored_uploads(api) == []
    assert list((api.runtime.settings.data_dir / "uploads").glob("*.part")) == []
    assert (await uploaded(api, b"first"))["complete"]


async def test_an_upload_is_kept_while_an_unfinished_execution_uses_it(api):
    upload = await uploaded(api, b"used")
    execution_id = await api.submit(("a", "noop", {"value": upload["source"]}))

    refused = await api.client.delete(f"/api/uploads/{upload['id']}")
    await api.client.post(f"/api/executions/{execution_id}/cancel")
    deleted = await api.client.delete(f"/api/uploads/{upload['id']}")

    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_state")
    assert execution_id in refused.json()["detail"]
    assert deleted.status_code == 204


async def test_the_command_line_lists_and_deletes_uploads(api):
    upload = await uploaded(api, b"first")

    async def run(*arguments):
        command = [sys.executable, "-m", "callsheet", "uploads", *arguments, "--url", str(api.client.base_url)]
        return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=True)

    listed = await run("list")
    deleted = await run("delete", upload["id"])
    empty = await run("list", "--json")

    assert listed.stdout.splitlines()[1].split()[:4] == [upload["id"], "5", "B", "complete"]
    assert listed.stdout.splitlines()[1].endswith(upload["source"])
    assert deleted.stderr.strip() == f"{upload['id']}: deleted"
    assert json.loads(empty.stdout) == []


async def test_a_plan_that_names_an_upload_postpones_its_expiry(api):
    upload = await uploaded(api, PNG)
    async with api.runtime.database.connection() as connection:
        await connection.execute("UPDATE uploads SET used_at = now() - interval '6 days'")
        await api.submit(("a", "noop", {"value": upload["source"]}))
        row = await sql.get_upload(connection, id=upload["id"])
        assert (row["used_at"] - await connection.fetchval("SELECT now()")) > timedelta(minutes=-5)


async def test_a_provider_gets_a_signed_url_of_an_upload(api):
    upload = await uploaded(api, PNG)
    settings = api.runtime.settings.model_copy(update={"public_url": "https://videos.example.com"})
    source = MediaSource(upload["source"])

    url = await input_url(
        source,
        public_url=settings.public_url,
        settings=settings,
        storage=api.runtime.storage,
        database=api.runtime.database,
    )

    assert url is not None and url.startswith("https://videos.example.com/files/uploads/")
    parts = urlsplit(url)
    response = await api.client.get(f"{parts.path}?{parts.query}", headers={"Range": "bytes=0-7"})
    assert (response.status_code, response.content) == (206, PNG[:8])
    assert response.headers["content-type"] == "image/png"
    assert (await api.client.get(f"{parts.path}?{parts.query}x")).status_code == 401


async def test_uploads_need_the_api_key(settings, catalog):
    async with served(settings.model_copy(update={"api_key": SecretStr("k" * 20)}), catalog) as api:
        assert (await api.client.post("/api/uploads", json=announcement(PNG))).status_code == 401


@pytest.fixture
async def with_bucket(settings, catalog, s3_server):
    """A server that stores files in a bucket."""
    names = ("s3_bucket", "s3_endpoint", "s3_access_key", "s3_secret_key")
    bucket = {name: getattr(s3_server.settings(), name) for name in names}
    async with served(settings.model_copy(update=bucket), catalog) as api:
        yield api


async def test_a_file_can_be_put_directly_into_the_bucket(with_bucket):
    api = with_bucket
    _, upload = await announce(api, PNG)
    async with httpx2.AsyncClient(trust_env=False) as outside:
        put = await outside.put(upload["uploadUrl"], content=PNG)
    assert put.status_code == 200

    complete = (await api.client.post(f"/api/uploads/{upload['id']}/complete")).json()

    assert (complete["complete"], complete["mediaType"]) == (True, "image/png")
    stored = await api.runtime.storage.head(complete["source"].removeprefix("storage:"))
    assert (stored.size, stored.media_type) == (len(PNG), "image/png")
    left = [info.key async for page in api.runtime.storage.list_pages("uploads/incoming") for info in page]
    assert left == []
    assert (await announce(api, PNG))[0] == 200


async def test_a_direct_upload_is_verified(with_bucket):
    api = with_bucket
    data = os.urandom(1000)
    _, upload = await announce(api, data)
    path = f"/api/uploads/{upload['id']}/complete"
    assert (await api.client.post(path)).status_code == 404

    async with httpx2.AsyncClient(trust_env=False) as outside:
        await outside.put(upload["uploadUrl"], content=data[::-1])
        forged = await api.client.post(path)
        await outside.put(upload["uploadUrl"], content=data * 2)
        longer = await api.client.post(path)

    assert (forged.status_code, forged.json()["code"]) == (422, "digest_mismatch")
    assert (longer.status_code, longer.json()["code"]) == (413, "too_large")
    assert (await send(api, upload, data)).json()["complete"], "the file can still be sent in parts"


async def test_the_command_line_uses_the_bucket_if_it_can_reach_it(with_bucket, tmp_path):
    api = with_bucket
    data = os.urandom(100_000)
    (tmp_path / "clip.mp4").write_bytes(data)
    progress = []

    def upload():
        with SyncClient(str(api.client.base_url)) as client:
            return client.upload(tmp_path / "clip.mp4", on_progress=progress.append)

    assert await asyncio.to_thread(upload) == (f"storage:uploads/{digest(data)}.mp4", True)
    assert progress[-1] == len(data)
