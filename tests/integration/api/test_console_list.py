"""The list of executions in the console: filters in its URL."""

from .test_console import page


async def test_filters_in_the_url_and_in_the_api_find_the_same_executions(working):
    film = await working.submit(("film", "fail", {"message": "x"}), metadata={"order": "4711"})
    other = await working.submit(("other", "noop", {}))
    code = (await working.ended(film))["jobs"][0]["error"]["code"]
    await working.ended(other)

    async def shown(query):
        text = await page(working, f"/executions?{query}")
        listed = (await working.client.get(f"/api/executions?{query.replace('search=&', '')}")).json()["executions"]
        rows = {each for each in (film, other) if f'<tr id="e-{each}">' in text}
        assert {each["executionId"] for each in listed} == rows, query
        return rows

    for query in (
        "operation=fail",
        "status=failed",
        f"errorCode={code}",
        "search=4711",
        "search=&operation=fail&queue=test",
    ):
        assert await shown(query) == {film}, query
    for query in ("queue=test", "createdAfter=2020-01-01T00:00", "createdBefore=2999-01-01T00:00"):
        assert await shown(query) == {film, other}, query
    for query in ("queue=render", "createdBefore=2020-01-01T00:00Z", "operation=noop&errorCode=" + code):
        assert await shown(query) == set(), query
    everything = await page(working, "/executions?status=&search=&createdAfter=")
    assert everything.count("<tr id=") == 2
    assert 'href="/executions?status=failed"><span class="status failed">failed</span> 1</a>' in everything
