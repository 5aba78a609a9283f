"""Getting files by signed links."""

import hashlib

import httpx2
import pytest

TEXT = "".join(f"line {number}\n" for number in range(400))


@pytest.fixture
async def link(working):
    """The signed link of a text file with a name that needs care."""
    execution_id = await working.submit(("a", "write", {"name": 'Grüße "1".txt', "text": TEXT}))
    return (await working.ended(execution_id))["artifacts"][0]["url"]


async def test_a_file_comes_whole_with_headers_that_make_it_harmless(working, link):
    answer = await working.client.get(link)

    assert answer.text == TEXT
    assert answer.headers["etag"] == f'"{hashlib.sha256(TEXT.encode()).hexdigest()}"'
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.txt" in answer.headers["content-disposition"]


async def test_head_tells_the_size_without_the_file(working, link):
    answer = await working.client.head(link)

    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(TEXT)
    assert answer.content == b""


@pytest.mark.parametrize(
    ("wanted", "part", "content_range"),
    [
        ("bytes=0-9", slice(0, 10), "bytes 0-9/{size}"),
        ("bytes=100-", slice(100, None), "bytes 100-{last}/{size}"),
        ("bytes=-7", slice(-7, None), None),
        ("bytes=10-999999", slice(10, None), "bytes 10-{last}/{size}"),
    ],
)
async def test_a_range_gives_exactly_its_bytes(working, link, wanted, part, content_range):
    answer = await working.client.get(link, headers={"Range": wanted})

    assert answer.status_code == 206
    assert answer.text == TEXT[part]
    if content_range:
        assert answer.headers["content-range"] == content_range.format(size=len(TEXT), last=len(TEXT) - 1)


async def test_a_range_behind_the_end_is_a_416_that_tells_the_size(working, link):
    answer = await working.client.get(link, headers={"Range": "bytes=999999-"})

    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(TEXT)}"


async def test_a_file_that_the_client_has_is_not_sent_again(working, link):
    etag = (await working.client.head(link)).headers["etag"]

    known = await working.client.get(link, headers={"If-None-Match": f'"other", W/{etag}'})
    changed = await working.client.get(link, headers={"Range": "bytes=0-9", "If-Range": '"other"'})

    assert (known.status_code, known.content) == (304, b"")
    assert (changed.status_code, changed.text) == (200, TEXT)


async def test_a_browser_saves_the_file_where_download_is_asked_for(working, link):
    shown = await working.client.head(link)
    saved = await working.client.head(f"{link}&download=1")

    assert shown.headers["content-disposition"].startswith("inline")
    assert saved.headers["content-disposition"].startswith("attachment")


async def test_a_link_that_was_changed_opens_nothing(working, link):
    url = httpx2.URL(link)
    other = await working.submit(("a", "write", {"text": "other"}))
    stranger = (await working.ended(other))["artifacts"][0]["artifactId"]
    later = url.copy_set_param("expires", str(int(url.params["expires"]) + 1))

    for forged in (f"{link}x", later, url.copy_with(path=f"/files/{stranger}", query=url.query)):
        answer = await working.client.get(forged)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert (await working.client.get(url.path)).status_code == 422


async def test_a_page_that_a_job_made_is_never_shown_on_our_own_site(working):
    execution_id = await working.submit(("a", "write", {"name": "x.html", "text": "<script>alert(1)</script>"}))
    artifact = (await working.ended(execution_id))["artifacts"][0]

    answer = await working.client.get(artifact["url"])

    assert answer.headers["content-disposition"].startswith("attachment")


async def test_a_file_that_is_lost_is_a_404_and_not_half_an_answer(working, link):
    for path in working.runtime.settings.files_dir.rglob("*.txt"):
        path.unlink()

    for method in ("GET", "HEAD"):
        assert (await working.client.request(method, link)).status_code == 404


async def test_an_empty_file_comes_as_it_is(working):
    execution_id = await working.submit(("a", "write", {"name": "empty.txt", "text": ""}))
    artifact = (await working.ended(execution_id))["artifacts"][0]

    answer = await working.client.get(artifact["url"])

    assert (answer.status_code, answer.content) == (200, b"")
    read = await working.client.get(f"/api/artifacts/{artifact['artifactId']}")
    assert read.json()["size"] == 0
