"""Examples of ads for the OpenAPI document."""

from typing import Any

_EXECUTION = "019ab1f0-0000-7000-8000-000000000001"


def _response(value: dict[str, Any]) -> dict[str, Any]:
    return {"description": "Done", "content": {"application/json": {"example": value}}}


def _requests(summary: str, value: dict[str, Any]) -> Any:
    return {"one": {"summary": summary, "value": value}}


touches = _requests(
    "Of a deal, and of a person",
    {
        "touches": [
            {"tenantId": "tenant_1", "dealId": "deal_123", "adId": "red", "at": "2026-11-02T10:00:00Z"},
            {
                "tenantId": "tenant_1",
                "contactId": "ann",
                "adId": "blue",
                "at": "2026-11-09T10:00:00Z",
                "kind": "view",
            },
        ]
    },
)
touches_stored = _response({"added": 2})

metrics = _requests(
    "One day of an ad",
    {
        "metrics": [
            {
                "tenantId": "tenant_1",
                "adId": "red",
                "day": "2026-11-20",
                "impressions": 10000,
                "clicks": 120,
                "spend": 50.25,
                "reach": 6200,
                "engagements": 310,
                "conversions": 4,
                "revenue": 196,
            }
        ]
    },
)
metrics_stored = _response({"stored": 1})

_STAGES = {"stages": {"demo": "0.25", "won": "1", "lost": "0"}}
stages = _requests("A pipeline of three stages", {"stages": {"demo": 0.25, "won": 1, "lost": 0}})
stages_found = _response(_STAGES)

deal = _response(
    {
        "dealId": "deal_123",
        "tenantId": "tenant_1",
        "stage": "closedwon",
        "value": "10000.00",
        "contactIds": ["ann"],
        "version": 1,
        "executionId": _EXECUTION,
        "rows": [
            {
                "version": 1,
                "kind": "credit",
                "stage": "closedwon",
                "model": "last",
                "adId": "blue",
                "servedOn": "2026-11-09",
                "amount": "10000.00",
                "at": "2026-11-20T09:30:00Z",
            }
        ],
    }
)
totals = _response({"model": "position", "ads": [{"adId": "red", "amount": "5000.00", "conversions": 0.5, "deals": 1}]})

fatigue = _response(
    {
        "tenantId": "tenant_1",
        "day": "2026-11-20",
        "counts": {"none": 11, "watch": 2, "warning": 1, "critical": 0, "tooFewDays": 3, "noRecentDays": 1},
        "ads": [
            {
                "tenantId": "tenant_1",
                "adId": "red",
                "severity": "warning",
                "score": 0.71,
                "days": 30,
                "signals": [
                    {
                        "name": "frequency",
                        "value": 2.4,
                        "reference": 1.6,
                        "change": 0.5,
                        "slope": 0.035,
                        "evidence": 3.1,
                        "on": True,
                    },
                ],
            }
        ],
        "criticalAds": [],
    }
)

recommendation_requests = _requests(
    "250.00, with bounds",
    {"tenantId": "tenant_1", "budget": 250, "minShare": 0.05, "maxShare": 0.6, "step": 0.5, "seed": 1},
)
recommendation = _response(
    {
        "tenantId": "tenant_1",
        "reward": "deals",
        "ads": [
            {
                "adId": "red",
                "share": 0.6,
                "budget": "150.00",
                "bestProbability": 0.91,
                "expectedReturn": 3.4,
                "impressions": 81234.5,
                "conversions": 9.7,
                "adoptedShare": 0.5,
            },
            {
                "adId": "blue",
                "share": 0.4,
                "budget": "100.00",
                "bestProbability": 0.09,
                "expectedReturn": 2.1,
                "impressions": 79802.1,
                "conversions": 6.2,
                "adoptedShare": 0.5,
            },
        ],
    }
)

deal_messages: dict[str, Any] = {
    "plain": {
        "summary": "Of any system",
        "value": {"dealId": "deal_123", "stageTo": "closedwon", "dealValue": 10000, "tenantId": "tenant_1"},
    },
    "hubspot": {
        "summary": "Of HubSpot",
        "value": [
            {
                "eventId": 3181526809,
                "subscriptionId": 1160452,
                "portalId": 62515,
                "appId": 54321,
                "occurredAt": 1793685400000,
                "subscriptionType": "deal.propertyChange",
                "attemptNumber": 0,
                "objectId": 9016943478,
                "propertyName": "dealstage",
                "propertyValue": "closedwon",
                "changeSource": "CRM",
            }
        ],
    },
}
deal_receipt = _response({"executionIds": [_EXECUTION], "ignored": 0})
