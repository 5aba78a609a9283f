"""Files at signed URLs."""

import hashlib

import httpx2
import pytest

TEXT = "".join(f"line {number}\n" for number in range(400))


@pytest.fixture
async def link(working):
    """The signed URL of a text file whose name needs escaping."""
    execution_id = await working.submit(("a", "write", {"name": 'Grüße "1".txt', "text": TEXT}))
    return (await working.ended(execution_id))["artifacts"][0]["url"]


async def test_a_file_is_sent_with_security_headers(working, link):
    response = await working.client.get(link)

    assert response.text == TEXT
    assert response.headers["etag"] == f'"{hashlib.sha256(TEXT.encode()).hexdigest()}"'
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]
    assert "filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.txt" in response.headers["content-disposition"]


async def test_head_returns_the_size_without_the_file(working, link):
    response = await working.client.head(link)

    assert response.status_code == 200
    assert int(response.headers["content-length"]) == len(TEXT)
    assert response.content == b""


@pytest.mark.parametrize(
    ("byte_range", "part", "content_range"),
    [
        ("bytes=0-9", slice(0, 10), "bytes 0-9/{size}"),
        ("bytes=100-", slice(100, None), "bytes 100-{last}/{size}"),
        ("bytes=-7", slice(-7, None), None),
        ("bytes=10-999999", slice(10, None), "bytes 10-{last}/{size}"),
    ],
)
async def test_a_range_request_returns_exactly_its_bytes(working, link, byte_range, part, content_range):
    response = await working.client.get(link, headers={"Range": byte_range})

    assert response.status_code == 206
    assert response.text == TEXT[part]
    if content_range:
        assert response.headers["content-range"] == content_range.format(size=len(TEXT), last=len(TEXT) - 1)


async def test_a_range_beyond_the_end_is_a_416_with_the_size(working, link):
    response = await working.client.get(link, headers={"Range": "bytes=999999-"})

    assert (response.status_code, response.json()["code"]) == (416, "range_not_satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(TEXT)}"


async def test_a_file_with_a_matching_etag_is_not_sent_again(working, link):
    etag = (await working.client.head(link)).headers["etag"]

    known = await working.client.get(link, headers={"If-None-Match": f'"other", W/{etag}'})
    changed = await working.client.get(link, headers={"Range": "bytes=0-9", "If-Range": '"other"'})

    assert (known.status_code, known.content) == (304, b"")
    assert (changed.status_code, changed.text) == (200, TEXT)


async def test_download_sends_the_file_as_an_attachment(working, link):
    shown = await working.client.head(link)
    saved = await working.client.head(f"{link}&download=1")

    assert shown.headers["content-disposition"].startswith("inline")
    assert saved.headers["content-disposition"].startswith("attachment")


async def test_a_changed_url_is_rejected(working, link):
    url = httpx2.URL(link)
    other = await working.submit(("a", "write", {"text": "other"}))
    stranger = (await working.ended(other))["artifacts"][0]["artifactId"]
    later = url.copy_set_param("expires", str(int(url.params["expires"]) + 1))

    for forged in (f"{link}x", later, url.copy_with(path=f"/files/{stranger}", query=url.query)):
        response = await working.client.get(forged)
        assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert (await working.client.get(url.path)).status_code == 422


async def test_html_files_are_sent_as_attachments(working):
    execution_id = await working.submit(("a", "write", {"name": "x.html", "text": "<script>alert(1)</script>"}))
    artifact = (await working.ended(execution_id))["artifacts"][0]

    response = await working.client.get(artifact["url"])

    assert response.headers["content-disposition"].startswith("attachment")


async def test_a_missing_file_is_a_404(working, link):
    for path in working.runtime.settings.files_dir.rglob("*.txt"):
        path.unlink()

    for method in ("GET", "HEAD"):
        assert (await working.client.request(method, link)).status_code == 404


async def test_an_empty_file_is_sent(working):
    execution_id = await working.submit(("a", "write", {"name": "empty.txt", "text": ""}))
    artifact = (await working.ended(execution_id))["artifacts"][0]

    response = await working.client.get(artifact["url"])

    assert (response.status_code, response.content) == (200, b"")
    read = await working.client.get(f"/api/artifacts/{artifact['artifactId']}")
    assert read.json()["size"] == 0
