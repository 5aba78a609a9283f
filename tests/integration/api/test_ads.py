"""The ads loop over HTTP: touches, metrics, webhooks of deals, their credit, and the budget."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from callsheet.ads.hubspot_signature import signature
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.attribute_deal import attribute_deal
from callsheet.operations.monitor_fatigue import monitor_fatigue

from .conftest import served

NOW = datetime.now(UTC)
DEAL = {"dealId": "deal_123", "stageTo": "closedwon", "dealValue": 10000, "tenantId": "tenant_1"}
SECRET = "a-client-secret-of-an-app"
MODELS = ("first", "last", "linear", "time-decay", "position")


@pytest.fixture
def catalog():
    return Catalog([attribute_deal, monitor_fatigue])


def days_ago(days):
    return (NOW - timedelta(days=days)).isoformat()


def touch(ad, days, **subject):
    return {"tenantId": "tenant_1", "adId": ad, "at": days_ago(days), **(subject or {"dealId": "deal_123"})}


async def add(api, *touches):
    response = await api.client.post("/api/ads/touches", json={"touches": touches})
    assert response.status_code == 200, response.text
    return response.json()["added"]


async def send(api, body, status=202):
    response = await api.client.post("/api/webhooks/hubspot", json=body)
    assert response.status_code == status, response.text
    return response.json()


async def process(api, body):
    """Send a webhook and return the results of its jobs."""
    ended = [await api.ended(each) for each in (await send(api, body))["executionIds"]]
    assert {each["status"] for each in ended} == {"succeeded"}, ended
    return [each["jobs"][0]["result"] for each in ended]


async def get(api, path, **query):
    response = await api.client.get(f"/api/ads/{path}", params={"tenantId": "tenant_1", **query})
    assert response.status_code == 200, response.text
    return response.json()


async def sums(api, deal="deal_123"):
    """The amounts of a deal by model."""
    found = dict.fromkeys(MODELS, Decimal(0))
    for row in (await get(api, f"deals/{deal}"))["rows"]:
        found[row["model"]] += Decimal(row["amount"])
    return found


async def test_a_deal_is_credited_moves_back_is_lost_and_is_won_again(working):
    assert await add(working, touch("red", 20), touch("blue", 6), touch("green", 1)) == 3
    assert await add(working, touch("red", 20)) == 0

    [won] = await process(working, DEAL)
    assert (won["status"], Decimal(won["syntheticRevenue"]), won["touches"]) == ("credited", 10_000, 3)
    assert [(each["adId"], Decimal(each["amount"])) for each in won["credits"]["position"]] == [
        ("green", 4000),
        ("red", 4000),
        ("blue", 2000),
    ]
    assert await sums(working) == dict.fromkeys(MODELS, Decimal(10_000))

    [back] = await process(working, {**DEAL, "stageTo": "contractsent"})
    assert Decimal(back["reversedAmount"]) == 10_000
    assert await sums(working) == dict.fromkeys(MODELS, Decimal(9000))

    [lost] = await process(working, {**DEAL, "stageTo": "closedlost"})
    assert (lost["status"], lost["credits"]) == ("credited", {})
    assert await sums(working) == dict.fromkeys(MODELS, Decimal(0))
    assert (await get(working, "credits"))["ads"] == []

    [again] = await process(working, DEAL)
    assert again["credits"] == won["credits"]
    totals = await get(working, "credits", model="first")
    assert [(each["adId"], Decimal(each["amount"]), each["conversions"]) for each in totals["ads"]] == [
        ("red", 10_000, 1.0)
    ]


async def test_a_webhook_that_is_delivered_again_makes_no_second_execution(api):
    first = await send(api, DEAL)
    assert await send(api, DEAL) == first

    await api.engine.start_worker()
    await api.ended(first["executionIds"][0])
    assert await send(api, DEAL) == first

    [moved] = await process(api, {**DEAL, "stageTo": "contractsent"})
    [returned] = await process(api, DEAL)
    assert (moved["stage"], returned["stage"]) == ("contractsent", "closedwon")
    async with api.runtime.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM executions") == 3


def event(number, name, value, *, minutes_ago=0, **fields):
    at = int((NOW - timedelta(minutes=minutes_ago)).timestamp() * 1000)
    return {
        "eventId": number,
        "subscriptionId": 1,
        "portalId": 62515,
        "appId": 54321,
        "occurredAt": at,
        "subscriptionType": "deal.propertyChange",
        "attemptNumber": 0,
        "objectId": 77,
        "propertyName": name,
        "propertyValue": value,
        "changeSource": "CRM",
        **fields,
    }


async def test_events_of_hubspot_end_in_the_newest_state_in_whichever_order_they_come(working):
    events = [
        event(1, "dealstage", "closedwon", minutes_ago=1),
        event(2, "amount", "500.50", minutes_ago=9),
        event(3, "dealstage", "qualifiedtobuy", minutes_ago=5),
        event(4, "amount", "80", minutes_ago=20),
        event(5, "dealname", "Big one"),
    ]
    touched = {"tenantId": "62515", "adId": "red", "at": days_ago(2), "dealId": "77"}
    assert await add(working, touched) == 1

    receipt = await send(working, events)
    await asyncio.gather(*(working.ended(each) for each in receipt["executionIds"]))

    assert (len(receipt["executionIds"]), receipt["ignored"]) == (4, 1)
    deal = await get(working, "deals/77", tenantId="62515")
    assert (deal["stage"], Decimal(deal["value"])) == ("closedwon", Decimal("500.50"))
    open_amounts = sum(Decimal(row["amount"]) for row in deal["rows"] if row["model"] == "last")
    assert open_amounts == Decimal("500.50")
    redelivered = [{**each, "attemptNumber": 1} for each in events]
    assert await send(working, redelivered) == receipt


async def test_touches_of_the_people_of_a_deal_count_and_late_ones_correct_its_credit(working):
    await add(working, touch("red", 5, contactId="ann"), touch("blue", 4, contactId="bob"))
    [alone] = await process(working, {**DEAL, "contactIds": ["ann"]})
    assert [each["adId"] for each in alone["credits"]["linear"]] == ["red"]

    [both] = await process(working, {**DEAL, "contactIds": ["ann", "bob"]})
    assert {each["adId"] for each in both["credits"]["linear"]} == {"red", "blue"}
    assert await sums(working) == dict.fromkeys(MODELS, Decimal(10_000))

    await add(working, touch("green", 3))
    execution = await working.submit(("again", "attribute-deal", DEAL))
    result = (await working.ended(execution))["jobs"][0]["result"]
    assert result["status"] == "credited" and result["touches"] == 3


async def test_a_stage_without_a_probability_fails_with_what_to_do_and_succeeds_after_it(working):
    await add(working, touch("red", 1))
    [execution] = (await send(working, {**DEAL, "stageTo": "demo"}))["executionIds"]
    error = (await working.ended(execution))["jobs"][0]["error"]
    assert "no probability for the stage 'demo'" in error["message"]

    response = await working.client.put(
        "/api/ads/stages", params={"tenantId": "tenant_1"}, json={"stages": {"demo": 0.25, "closedwon": 1}}
    )
    assert response.status_code == 200
    assert set((await get(working, "stages"))["stages"]) == {"demo", "closedwon"}
    assert (await working.client.post(f"/api/executions/{execution}/retry")).status_code == 200
    assert (await working.ended(execution))["jobs"][0]["result"]["syntheticRevenue"] == "2500.00"


def metrics(ad, days, **figures):
    return {
        "tenantId": "tenant_1",
        "adId": ad,
        "day": (NOW.date() - timedelta(days=days)).isoformat(),
        "impressions": 10_000,
        "clicks": 100,
        "spend": 50,
        **figures,
    }


async def store(api, *rows, status=200):
    response = await api.client.post("/api/ads/metrics", json={"metrics": rows})
    assert response.status_code == status, response.text
    return response.json()


async def test_the_budget_follows_the_credit_of_deals_within_its_bounds_and_moves_by_steps(working):
    rows = [metrics(ad, days) for ad in ("red", "blue", "green") for days in range(10, 20)]
    assert await store(working, *rows) == {"stored": 30}
    for number in range(12):
        await add(working, touch("red", 15, dealId=f"d{number}"))
        await process(working, {**DEAL, "dealId": f"d{number}", "dealValue": 100})

    free = await get(working, "recommendations", budget=100, seed=1)
    assert free == await get(working, "recommendations", budget=100, seed=1)
    assert free["ads"][0]["adId"] == "red" and free["ads"][0]["share"] > 0.9
    assert sum(Decimal(each["budget"]) for each in free["ads"]) == 100
    assert free["ads"][0]["adoptedShare"] is None

    request = {"tenantId": "tenant_1", "seed": 1, "minShare": 0.1, "maxShare": 0.6, "budget": "99.99"}
    adopted = (await working.client.post("/api/ads/recommendations", json=request)).json()
    assert adopted["ads"][0]["share"] == pytest.approx(0.6)
    assert all(each["share"] >= 0.0999 for each in adopted["ads"])
    moved = await get(working, "recommendations", seed=1, step=0.5)
    assert moved["ads"][0]["adoptedShare"] == pytest.approx(0.6)
    assert moved["ads"][0]["share"] == pytest.approx((0.6 + free["ads"][0]["share"]) / 2, abs=0.01)
    assert moved["ads"][0]["budget"] is None


async def test_a_corrected_day_replaces_the_earlier_report(api):
    await store(api, metrics("red", 1, conversions=5, revenue=100))
    await store(api, metrics("red", 1, conversions=1, revenue="20.50"), metrics("red", 1, conversions=2, revenue="21"))

    async with api.runtime.database.connection() as connection:
        [row] = await connection.fetch("SELECT conversions, revenue FROM ad_metrics")
        arm = await connection.fetchrow("SELECT reported_conversions, reported_revenue, trials, immature FROM ad_arms")
    assert (row["conversions"], row["revenue"]) == (2, 21)
    kept = 0.5 ** (1 / 30)
    assert arm["reported_conversions"] == pytest.approx(2 * kept)
    assert arm["reported_revenue"] == pytest.approx(21 * kept)
    assert (arm["trials"], arm["immature"]) == pytest.approx((10_000 * kept, 10_000 * kept * 0.5 ** (1 / 3)))
    [red] = (await get(api, "recommendations", reward="reported"))["ads"]
    assert red["share"] == 1


def tired_days(ad, tenant="tenant_1", worse=0.04):
    """30 days; in the last 14, the frequency and the cost rise, and engagement falls, by `worse` per day."""
    days = []
    for days_ago in range(30, 0, -1):
        factor = (1 + worse) ** max(0, 15 - days_ago)
        figures = {"reach": int(8000 / factor), "engagements": int(400 / factor), "spend": round(50 * factor, 2)}
        days.append({**metrics(ad, days_ago, **figures), "tenantId": tenant})
    return days


async def test_tired_ads_are_found_by_the_request_and_by_the_job_and_a_corrected_day_counts(working):
    await store(working, *tired_days("red"), *tired_days("blue", worse=0), *tired_days("new")[-5:])
    await store(working, *tired_days("red", tenant="tenant_2"))

    found = await get(working, "fatigue")
    assert [(each["adId"], each["severity"]) for each in found["ads"]] == [("red", "critical")]
    assert found["criticalAds"] == [{"tenantId": "tenant_1", "adId": "red"}]
    assert found["day"] == days_ago(1)[:10]
    assert {name: count for name, count in found["counts"].items() if count} == {
        "none": 1,
        "critical": 1,
        "tooFewDays": 1,
    }
    for params, ads in (({"tenantId": "tenant_1"}, 1), ({}, 2)):
        ended = await working.ended(await working.submit(("look", "monitor_all_ads_fatigue", params)))
        result = ended["jobs"][0]["result"]
        assert (ended["status"], len(result["criticalAds"]), result["tenantId"]) == (
            "succeeded",
            ads,
            params.get("tenantId"),
        )

    await store(working, *tired_days("red", worse=0))
    assert (await get(working, "fatigue"))["counts"]["none"] == 2
    assert (await get(working, "fatigue", tenantId="unknown"))["ads"] == []


async def test_all_ads_are_assessed_page_by_page_and_a_request_for_too_many_is_refused(working, monkeypatch):
    monkeypatch.setattr("callsheet.ads.fatigue_report._ADS_OF_PAGE", 2)
    for ad in ("a", "b", "c", "d", "e"):
        await store(working, *tired_days(ad))

    assert (await get(working, "fatigue"))["counts"]["critical"] == 5
    monkeypatch.setattr("callsheet.api.ads._MAX_ADS", 3)
    response = await working.client.get("/api/ads/fatigue", params={"tenantId": "tenant_1"})
    assert (response.status_code, "more than 3 ads" in response.text) == (422, True)


async def test_a_day_without_meaning_is_refused_and_named(api):
    for day in ("tomorrow", "1999-12-31", "2999-01-01"):
        response = await api.client.get("/api/ads/fatigue", params={"day": day})

        assert (response.status_code, [each["path"] for each in response.json()["errors"]]) == (422, ["day"])


@pytest.mark.parametrize(
    ("path", "body", "paths"),
    [
        ("touches", {"touches": [{"adId": "a", "at": "2026-11-01", "dealId": "x"}]}, {"touches[0].at"}),
        ("touches", {"touches": [{"adId": "a", "at": days_ago(1)}]}, {"touches[0]"}),
        ("touches", {"touches": []}, {"touches"}),
        ("metrics", {"metrics": [metrics("a", 1, clicks=20_000)]}, {"metrics[0]"}),
        ("metrics", {"metrics": [metrics("a", 1, spend="1e3"), metrics("", -3, spend=-1)]}, None),
        ("metrics", {"metrics": [metrics("a", 1, conversions=1e400)]}, None),
        ("recommendations", {"minShare": 0.6, "maxShare": 0.5}, {""}),
        ("recommendations", {"draws": 1, "budget": -1, "seed": -1}, {"draws", "budget", "seed"}),
    ],
)
async def test_bad_input_is_refused_and_named(api, path, body, paths):
    response = await api.client.post(
        f"/api/ads/{path}", content=json.dumps(body), headers={"content-type": "application/json"}
    )

    assert response.status_code == 422, response.text
    if paths is not None:
        assert {each["path"] for each in response.json()["errors"]} == paths


async def test_what_does_not_exist_is_not_found(api):
    for path in ("deals/none", "deals/a%2Fb", "recommendations"):
        response = await api.client.get(f"/api/ads/{path}")
        assert (response.status_code, "The tenant 'default' has no" in response.json()["detail"]) == (404, True)


def signed(base, body, *, secret=SECRET, age=0):
    stamp = str(int((time.time() - age) * 1000))
    mark = signature(secret, "POST", f"{base}/api/webhooks/hubspot?from=hub", body, stamp)
    return {"x-hubspot-signature-v3": mark, "x-hubspot-request-timestamp": stamp, "content-type": "application/json"}


async def test_with_a_secret_the_signature_is_needed_and_no_api_key(settings, catalog):
    base = "https://farm.example.com"
    settings = settings.model_copy(
        update={
            "hubspot_client_secret": type(settings)(
                _env_file=None, data_dir=settings.data_dir, hubspot_client_secret=SECRET
            ).hubspot_client_secret,
            "api_key": type(settings)(_env_file=None, data_dir=settings.data_dir, api_key="k" * 20).api_key,
            "public_url": base,
        }
    )
    body = json.dumps(DEAL).encode()
    async with served(settings, catalog) as api:

        async def post(headers, content=body, path="/api/webhooks/hubspot?from=hub"):
            return (await api.client.post(path, content=content, headers=headers)).status_code

        assert await post(signed(base, body)) == 202
        assert await post(signed(base, body), content=body + b" ") == 401
        assert await post(signed(base, body, age=400)) == 401
        assert await post(signed(base, body, secret="another-secret-of-an-app")) == 401
        assert await post({"authorization": f"Bearer {'k' * 20}"}) == 401
        assert await post({}) == 401
        assert (await api.client.get("/api/ads/credits")).status_code == 401
        assert (await api.client.post("/api/ads/touches", json={})).status_code == 401


async def test_without_a_secret_the_api_key_is_needed(settings, catalog):
    key = type(settings)(_env_file=None, data_dir=settings.data_dir, api_key="k" * 20).api_key
    async with served(settings.model_copy(update={"api_key": key}), catalog) as api:
        assert (await api.client.post("/api/webhooks/hubspot", json=DEAL)).status_code == 401
        headers = {"authorization": f"Bearer {'k' * 20}"}
        assert (await api.client.post("/api/webhooks/hubspot", json=DEAL, headers=headers)).status_code == 202


async def test_variants_without_impressions_share_a_budget_about_equally(api):
    variants = [f"variant {number}" for number in range(3)]
    rows = [
        {"tenantId": "ab", "adId": ad, "day": "2026-11-20", "impressions": 0, "clicks": 0, "spend": 0}
        for ad in variants
    ]

    await api.client.post("/api/ads/metrics", json={"metrics": rows})
    shared = (await api.client.get("/api/ads/recommendations?tenantId=ab&budget=90&seed=1")).json()["ads"]

    assert sorted(ad["adId"] for ad in shared) == variants
    assert all(0.25 < ad["share"] < 0.42 for ad in shared)
