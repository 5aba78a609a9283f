"""Webhooks of HubSpot: their signature, and the events of their body."""

import base64
import hashlib
import hmac
from decimal import Decimal

import pytest

from callsheet.ads.deal_messages import DealMessage, delivery_of, read_messages
from callsheet.ads.hubspot_signature import signature, verify
from callsheet.domain.errors import BadWebhook, ProblemList

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URI = "https://www.example.com/webhook_uri"
BODY = b"{'example_field':'example_value'}"
NOW = 1693657560.0
STAMP = "1693657560000"


def event(**fields):
    return {
        "eventId": 100,
        "subscriptionId": 1,
        "portalId": 62515,
        "appId": 54321,
        "occurredAt": 1793685400000,
        "subscriptionType": "deal.propertyChange",
        "attemptNumber": 0,
        "objectId": 9016943478,
        "propertyName": "dealstage",
        "propertyValue": "closedwon",
        "changeSource": "CRM",
        **fields,
    }


def check_signature(signed, *, uri=URI, body=BODY, stamp=STAMP, now=NOW):
    headers = {"x-hubspot-signature-v3": signed, "x-hubspot-request-timestamp": stamp}
    verify(SECRET, headers, method="POST", uri=uri, body=body, now=now)


def test_the_signature_is_that_of_the_client_library_of_hubspot():
    # The vector of the tests of hubspot-api-python.
    assert signature(SECRET, "POST", URI, BODY, STAMP) == "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="
    check_signature("K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=")


def test_hubspot_signs_some_encodings_of_the_uri_decoded():
    plain = "https://www.example.com/hook?who=a@b.c&next=/x%20y"
    signed = base64.b64encode(
        hmac.digest(SECRET.encode(), f"POST{plain}".encode() + BODY + STAMP.encode(), hashlib.sha256)
    ).decode()

    check_signature(signed, uri="https://www.example.com/hook?who=a%40b.c&next=%2fx%20y")


@pytest.mark.parametrize(
    "changes",
    [
        {"body": BODY + b" "},
        {"uri": URI + "/"},
        {"stamp": "1693657560001"},
        {"now": NOW + 301},
        {"now": NOW - 301},
        {"stamp": "soon"},
        {"stamp": "-1693657560000"},
        {"stamp": "9" * 400},
    ],
)
def test_a_changed_old_or_early_request_is_refused(changes):
    with pytest.raises(BadWebhook):
        check_signature("K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=", **changes)


def test_missing_headers_and_strange_signatures_are_refused():
    for headers in ({}, {"x-hubspot-signature-v3": "x"}, {"x-hubspot-request-timestamp": STAMP}):
        with pytest.raises(BadWebhook, match="headers"):
            verify(SECRET, headers, method="POST", uri=URI, body=BODY, now=NOW)
    with pytest.raises(BadWebhook, match="signature"):
        check_signature("ünicode")


def test_the_plain_message_of_the_earlier_system_is_read():
    data = {"dealId": "deal_123", "stageTo": "closedwon", "dealValue": 10000, "tenantId": "tenant_1"}

    [received], ignored = read_messages(data)

    assert (received.message.deal_id, received.message.stage_to) == ("deal_123", "closedwon")
    assert (received.message.deal_value, received.message.tenant_id, ignored) == (Decimal(10000), "tenant_1", 0)
    assert received.delivery is None


def test_events_of_stage_and_amount_are_read_and_others_are_counted():
    events = [
        event(),
        event(eventId=101, propertyName="amount", propertyValue="1234.50"),
        event(eventId=102, propertyName="amount", propertyValue=""),
        event(eventId=103, propertyName="dealname", propertyValue="Big one"),
        event(eventId=104, subscriptionType="contact.propertyChange"),
        event(eventId=105, subscriptionType="deal.creation", propertyName=None),
        event(eventId=106, subscriptionType="object.propertyChange", objectTypeId="0-3"),
        event(eventId=107, subscriptionType="object.propertyChange", objectTypeId="0-1"),
    ]

    messages, ignored = read_messages(events)

    stage, amount, cleared, generic = (each.message for each in messages)
    assert (stage.deal_id, stage.tenant_id, stage.stage_to) == ("9016943478", "62515", "closedwon")
    assert stage.occurred_at.timestamp() == 1793685400
    assert (amount.deal_value, amount.stage_to) == (Decimal("1234.50"), None)
    assert (cleared.deal_value, generic.stage_to) == (0, "closedwon")
    assert ignored == 4


def test_an_event_that_is_delivered_again_has_the_same_delivery_and_others_have_another():
    def delivery(**fields):
        [received], _ = read_messages([event(**fields)])
        return received.delivery

    assert delivery(attemptNumber=3, changeSource="API") == delivery()
    different = {delivery(eventId=1), delivery(objectId=2), delivery(occurredAt=1793685400001), delivery(portalId=3)}
    assert len(different | {delivery()}) == 5


def test_a_plain_message_is_another_delivery_after_a_change_of_the_deal():
    message = DealMessage(deal_id="a", stage_to="closedwon")

    assert delivery_of(message, 1) == delivery_of(message, 1) != delivery_of(message, 2)


@pytest.mark.parametrize(
    ("data", "paths"),
    [
        ({"dealId": "a", "stageTo": "x", "dealValue": -1, "tenantId": ""}, {"dealValue", "tenantId"}),
        ({"stageTo": "x"}, {"dealId"}),
        ({"dealId": "a"}, {""}),
        ({"dealId": "a", "stageTo": "x", "stage": 1}, {"stage"}),
        ({"dealId": "${film.video}", "stageTo": "a\nb"}, {"dealId", "stageTo"}),
        ({"dealId": "a", "dealValue": 1.005}, {"dealValue"}),
        ({"dealId": "a", "dealValue": "NaN"}, {"dealValue"}),
        ([event(propertyValue=None), event(occurredAt="soon"), 5], {"[0].propertyValue", "[1].occurredAt", "[2]"}),
        ([event(propertyName="amount", propertyValue="a lot")], {"[0].propertyValue"}),
        ([{}] * 1001, {""}),
    ],
)
def test_every_problem_of_a_webhook_is_named(data, paths):
    with pytest.raises(ProblemList) as error:
        read_messages(data)

    assert {problem.path for problem in error.value.problems} == paths
