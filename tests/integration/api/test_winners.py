"""Winning ads over HTTP and on the command line: index by jobs, search by text and example, tenants, deletion."""

import asyncio
import html
import io
import json
import re

import pytest
from PIL import Image
from typer.testing import CliRunner

from callsheet.cli.app import app
from callsheet.fakes.providers.task_script import sample_video
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.requirements import missing_requirements
from callsheet.operations.find_winners import find_winners
from callsheet.operations.index_winners import index_winners
from support.minilm import minilm_folder

from .conftest import codes, served

ADS = [
    {"adId": "towel", "text": "The towel that dries in ten minutes", "tags": ["summer"], "metrics": {"roas": 4.2}},
    {"adId": "vacuum", "text": "The robot that vacuums and mops while you are out", "attributes": {"hookType": "demo"}},
    {"adId": "lipstick", "text": "A lipstick that survives coffee and kisses"},
]


@pytest.fixture
def catalog():
    return Catalog([index_winners, find_winners])


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    return minilm_folder(tmp_path_factory.mktemp("minilm"))


@pytest.fixture
def settings(settings, minilm, tmp_path):
    return settings.model_copy(update={"embedding_folder": minilm, "source_roots": [tmp_path]})


async def run(api, operation, **params):
    """Run one job and return its result."""
    ended = await api.ended(await api.submit(("one", operation, params)))
    assert ended["status"] == "succeeded", ended["jobs"]
    return ended["jobs"][0]["result"]


async def index(api, *creatives, tenant="t"):
    return await run(api, "auto_index_winner", tenantId=tenant, creatives=list(creatives))


async def search(api, **query):
    response = await api.client.get("/api/ads/winners", params={"tenantId": "t", **query})
    assert response.status_code == 200, response.text
    return response.json()


def ads(page):
    return [each["adId"] for each in page["winners"]]


async def test_indexed_creatives_are_found_by_text_and_example_page_by_page_in_their_tenant(working):
    result = await index(working, *ADS)
    assert (result["indexed"], result["unchanged"], result["remaining"]) == (3, 0, 0)
    await index(working, {"adId": "mop", "text": "A mop"}, tenant="other")

    found = await search(working, q="a machine that cleans the floor alone")
    assert (ads(found)[0], found["total"], found["outdated"], found["nextOffset"]) == ("vacuum", 3, 0, None)
    assert found["winners"][0]["attributes"] == {"hookType": "demo"}
    assert found["winners"][0]["score"] > found["winners"][1]["score"]

    first = await search(working, q="make-up for the mouth", limit=2)
    rest = await search(working, q="make-up for the mouth", limit=2, offset=first["nextOffset"])
    assert ads(first)[0] == "lipstick" and sorted(ads(first) + ads(rest)) == ["lipstick", "towel", "vacuum"]
    assert rest["nextOffset"] is None

    await index(working, {"adId": "cloth", "text": "A quick-drying cloth for swimming"})
    assert ads(await search(working, like="towel"))[0] == "cloth"
    assert ads(await search(working, q="clean the floor", tenantId="other")) == ["mop"]
    assert await search(working, q="x", tenantId="empty") == {
        "winners": [],
        "total": 0,
        "outdated": 0,
        "nextOffset": None,
    }
    missing = await working.client.get("/api/ads/winners", params={"tenantId": "other", "like": "towel"})
    assert (missing.status_code, "no winner 'towel'" in missing.text) == (404, True)


async def test_the_console_searches_by_text_and_by_ad(working):
    await index(working, *ADS, {"adId": "<b>", "text": "A <i>broom</i>"})

    async def shown(**query):
        response = await working.client.get("/console/winners", params={"tenant": "t", **query})
        assert response.status_code == 200, response.text
        return response.text

    assert "Similarity" not in await shown()
    found = await shown(q="a machine that cleans the floor alone", like="")
    assert found.index(">vacuum</a>") < found.index(">towel</a>")
    assert "A &lt;i&gt;broom" in found and "?like=%3Cb%3E&amp;tenant=t" in found
    assert "roas 4.2" in await shown(like="vacuum")
    assert "no winner &#39;nothing&#39;" in await shown(like="nothing")


async def test_the_same_facts_are_not_indexed_again_and_new_ones_replace_them(working):
    await index(working, *ADS)
    again = await index(working, *ADS[:2], {**ADS[2], "text": "A dress to rent for the weekend"})

    assert [each["status"] for each in again["creatives"]] == ["unchanged", "unchanged", "indexed"]
    assert ads(await search(working, q="borrow an outfit"))[0] == "lipstick"
    assert (await search(working, q="x"))["total"] == 3


async def test_a_deleted_winner_is_not_found_until_it_is_indexed_again(working):
    await index(working, *ADS)
    path, query = "/api/ads/winners/towel", {"tenantId": "t"}
    assert (await working.client.get(path, params=query)).json()["metrics"] == {"roas": 4.2}
    assert (await working.client.delete(path, params={"tenantId": "other"})).status_code == 404
    assert (await working.client.delete(path, params=query)).status_code == 204

    assert "towel" not in ads(await search(working, q="a towel that dries fast"))
    assert (await search(working, q="x"))["total"] == 2
    assert [(await working.client.request(verb, path, params=query)).status_code for verb in ("GET", "DELETE")] == [
        404,
        404,
    ]
    async with working.runtime.database.connection() as connection:
        row = await connection.fetchrow("SELECT facts, look, vector FROM ad_winners WHERE ad = 'towel'")
    assert tuple(row) == ("{}", None, None)
    assert (await index(working, ADS[0]))["indexed"] == 1
    assert ads(await search(working, q="a towel that dries fast"))[0] == "towel"


async def test_vectors_of_another_model_are_made_again_from_the_stored_facts(working):
    await index(working, *ADS)
    async with working.runtime.database.connection() as connection:
        await connection.execute("UPDATE ad_winners SET model = 'old' WHERE ad <> 'towel'")
        await connection.execute("UPDATE ad_winners SET version = 2 WHERE ad <> 'towel'")
        await connection.execute("UPDATE ad_winner_versions SET version = 2")
    before = await search(working, q="clean the floor")
    assert (ads(before), before["total"], before["outdated"]) == (["towel"], 1, 2)
    response = await working.client.get("/api/ads/winners", params={"tenantId": "t", "like": "vacuum"})
    assert (response.status_code, "another embedding model" in response.text) == (422, True)

    result = await run(working, "index-winners", tenantId="t")

    assert (result["indexed"], result["remaining"]) == (2, 0)
    after = await search(working, q="clean the floor")
    assert (ads(after)[0], after["total"], after["outdated"]) == ("vacuum", 3, 0)


async def test_the_look_of_a_picture_is_indexed_and_similar_pictures_are_found(working, tmp_path):
    for name, color in (("red", "#d01020"), ("blue", "#2040d0"), ("example", "#c81828")):
        Image.new("RGB", (90, 160), color).save(tmp_path / f"{name}.png")
    pictures = [{"adId": name, "src": str(tmp_path / f"{name}.png")} for name in ("red", "blue")]
    result = await index(working, *pictures)
    assert [each["look"].split(", ")[:2] for each in result["creatives"]] == [
        ["vertical picture", "mostly red"],
        ["vertical picture", "mostly blue"],
    ]

    found = await run(working, "find-winners", tenantId="t", example={"src": str(tmp_path / "example.png")})
    assert ads(found)[0] == "red"
    assert ads(await run(working, "find-winners", tenantId="t", query="a blue picture"))[0] == "blue"


FILTERED = [
    {
        "adId": "towel",
        "text": "A towel",
        "tags": ["summer", "ugc"],
        "attributes": {"platform": "meta", "adSet": 7, "look": {"hook": "demo"}},
        "metrics": {"roas": 4.2, "ctr": 0.03},
    },
    {
        "adId": "towels",
        "text": "A set of towels",
        "tags": ["summer"],
        "attributes": {"platform": ["meta", "tiktok"], "live": True},
        "metrics": {"roas": 2},
    },
    {"adId": "cloth", "text": "A bath towel of cotton", "attributes": {"platform": "google"}},
]


SEARCHES = [
    ({}, {"towel", "towels", "cloth"}),
    ({"tag": "summer"}, {"towel", "towels"}),
    ({"tag": ["summer", "ugc"]}, {"towel"}),
    ({"tag": "winter"}, set()),
    ({"attribute": "platform=meta"}, {"towel", "towels"}),
    ({"attribute": ["platform=meta", "adSet=7"]}, {"towel"}),
    ({"attribute": "look.hook=demo"}, {"towel"}),
    ({"attribute": "live=true"}, {"towels"}),
    ({"attribute": "platform=met"}, set()),
    ({"metric": "roas>=2"}, {"towel", "towels"}),
    ({"metric": ["roas>=1.5", "roas<=3"]}, {"towels"}),
    ({"metric": ["roas>=2", "ctr>=0.01"]}, {"towel"}),
    ({"tag": "summer", "metric": "roas<=3", "attribute": "platform=tiktok"}, {"towels"}),
    ({"indexedAfter": "2000-01-01T00:00:00Z"}, {"towel", "towels", "cloth"}),
    ({"indexedBefore": "2000-01-01T00:00:00Z"}, set()),
]


async def test_a_search_finds_only_winners_that_meet_all_conditions(working):
    await index(working, *FILTERED)
    for query, expected in SEARCHES:
        found = await search(working, q="something to dry off", **query)
        assert (set(ads(found)), found["total"]) == (expected, len(expected)), query
        like = await search(working, like="towel", **query)
        assert set(ads(like)) == expected - {"towel"}, query


async def test_conditions_hold_in_plans_in_the_console_and_on_the_command_line(working):
    await index(working, *FILTERED)
    conditions = {"attributes": {"adSet": 7}, "metrics": {"roas": {"min": 4, "max": 5}}, "tags": ["ugc"]}
    assert ads(await run(working, "find-winners", tenantId="t", query="dry", filter=conditions)) == ["towel"]

    query = {
        "tenant": "t",
        "q": "dry",
        "tags": "summer",
        "attributes": "platform=tiktok",
        "metrics": "roas>=1, roas<=3",
    }
    page = (await working.client.get("/console/winners", params={**query, "indexedAfter": "2000-01-01T00:00"})).text
    assert "like=towels&amp;" in page and "like=towel&amp;" not in page and "of 1" in page
    assert (
        "write name=value" in (await working.client.get("/console/winners", params={**query, "attributes": "a"})).text
    )

    options = ["--tag", "summer", "--metric", "roas<=3", "--since", "1h", "--tenant", "t"]
    arguments = ["ads", "winners", "search", "dry", *options, "--url", str(working.client.base_url)]
    shown = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert "1 of 1 winning ads" in shown.stderr and "A set of towels" in shown.stdout


def png(color):
    file = io.BytesIO()
    Image.new("RGB", (90, 160), color).save(file, "png")
    return file.getvalue()


async def test_a_picture_of_a_request_finds_what_looks_like_it(working, tmp_path):
    for name, color in (("red", "#d01020"), ("blue", "#2040d0")):
        (tmp_path / f"{name}.png").write_bytes(png(color))
    files = [
        {"adId": name, "src": str(tmp_path / f"{name}.png"), "tags": [tag]}
        for name, tag in (("red", "a"), ("blue", "b"))
    ]
    await index(working, *files)
    example = png("#c81828")

    async def similar(body, **query):
        return await working.client.post("/api/ads/winners/similar", params={"tenantId": "t", **query}, content=body)

    assert ads((await similar(example)).json()) == ["red", "blue"]
    assert ads((await similar(example, tag="b")).json()) == ["blue"]
    assert ads((await similar(example, q="a blue picture, mostly blue")).json())[0] == "blue"

    form = (await working.client.get("/console/winners", params={"tenant": "t", "tags": "a"})).text
    [token], [action] = (
        re.findall(r'name="token" value="([^"]+)"', form),
        re.findall(r'action="(/console/w[^"]+)"', form),
    )
    sent = {"files": {"picture": ("example.png", example, "image/png")}}
    page = await working.client.post(html.unescape(action), data={"token": token}, **sent)
    assert page.status_code == 200 and "mostly red" in page.text and "of 1 to a picture" in page.text
    assert (await working.client.post("/console/winners", data={"token": "x"}, **sent)).status_code == 401

    (tmp_path / "example.png").write_bytes(example)
    options = ["--picture", str(tmp_path / "example.png"), "--tenant", "t", "--limit", "1"]
    arguments = ["ads", "winners", "search", *options, "--url", str(working.client.base_url)]
    shown = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert "red" in shown.stdout and "blue" not in shown.stdout.replace("mostly", ""), shown.output


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "empty"), (b"no picture", "not_an_image"), (sample_video().data, "not_an_image"), (png("red")[:60], None)],
    ids=["nothing", "text", "video", "half"],
)
async def test_what_is_no_picture_is_refused_and_nothing_is_left(working, settings, body, code):
    response = await working.client.post("/api/ads/winners/similar", content=body)
    assert response.status_code == 422, response.text
    assert codes(response) == {("body", code or "not_an_image")}
    assert [*settings.scratch_dir.glob("example-*")] == []


async def test_after_many_changes_the_index_is_in_a_file_and_the_search_is_the_same(working, settings):
    creatives = [{"adId": f"ad-{number}", "text": f"Number {number}"} for number in range(70)]
    await index(working, *creatives, *ADS)
    before = await search(working, q="make-up for the mouth")
    await working.runtime.winners.built()

    assert len(list(settings.winners_dir.glob("*.index"))) == 1
    assert await search(working, q="make-up for the mouth") == before
    assert ads(before)[0] == "lipstick"


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ({}, {"q"}),
        ({"q": "a", "like": "b"}, {"q"}),
        ({"q": ""}, {"q"}),
        ({"q": "a", "limit": 0, "offset": 2000}, {"limit", "offset"}),
        ({"like": " a"}, {"like"}),
        ({"q": "a", "tag": ["x"] * 21}, {"tag"}),
        ({"q": "a", "tag": ""}, {"tags[0]"}),
        ({"q": "a", "attribute": ["platform", "=meta", "a="]}, {"attribute"}),
        ({"q": "a", "attribute": ["a=1", "a=2"]}, {"attribute"}),
        ({"q": "a", "metric": ["roas", "roas>2", "roas>=nan", "roas>=two"]}, {"metric"}),
        ({"q": "a", "metric": ["roas>=3", "roas<=2"]}, {"metrics.roas"}),
        ({"q": "a", "indexedAfter": "yesterday"}, {"indexedAfter"}),
    ],
)
async def test_a_search_that_cannot_be_made_is_refused_and_named(api, query, paths):
    response = await api.client.get("/api/ads/winners", params=query)
    assert (response.status_code, {path for path, _ in codes(response)}) == (422, paths)


async def test_without_an_embedding_model_the_search_and_the_worker_say_what_to_set(settings, catalog):
    async with served(settings.model_copy(update={"embedding_folder": None}), catalog) as api:
        response = await api.client.get("/api/ads/winners", params={"q": "a"})
        assert (response.status_code, response.json()["code"]) == (503, "not_configured")
        assert "CALLSHEET_EMBEDDING_FOLDER" in response.json()["detail"]
        missing = missing_requirements(api.runtime.catalog, api.runtime.settings)
        assert "CALLSHEET_EMBEDDING_MODEL" in missing["index-winners"]["search"]


async def test_the_command_line_indexes_searches_and_deletes(working, tmp_path):
    def callsheet(*arguments):
        return CliRunner().invoke(app, ["ads", "winners", *arguments, "--url", str(working.client.base_url)])

    async def cli(*arguments):
        return await asyncio.to_thread(callsheet, *arguments)

    listed, lines = tmp_path / "ads.json", tmp_path / "more.jsonl"
    listed.write_text(json.dumps(ADS[:2]))
    lines.write_text(f"{json.dumps(ADS[2])}\n\n")
    for file in (listed, lines):
        submitted = await cli("index", str(file), "--tenant", "t")
        [execution] = re.findall(r"^[0-9a-f-]{36}$", submitted.stdout, re.MULTILINE)  # the server logs to it, too
        assert (await working.ended(execution))["status"] == "succeeded"

    shown = await cli("search", "a machine that cleans the floor", "--tenant", "t")
    assert re.search(r"^SCORE +AD +TEXT\n0\.\d\d +vacuum +The robot", shown.stdout, re.MULTILINE)
    assert "3 of 3 winning ads" in shown.stderr
    similar = await cli("search", "--like", "towel", "--tenant", "t", "--limit", "1")
    assert "1 of 3 winning ads" in similar.stderr and "towel" not in similar.stdout
    assert "towel was deleted" in (await cli("delete", "towel", "--tenant", "t")).stderr
    assert "no winner 'towel'" in (await cli("delete", "towel", "--tenant", "t")).stderr
    assert (await cli("search")).exit_code == 2
    lines.write_text("{no json")
    assert "from line 1" in (await cli("index", str(lines))).output
