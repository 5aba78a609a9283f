"""Messages about deals: those of HubSpot, and the plain form of other systems."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from callsheet.ads.cents import Amount
from callsheet.ads.deals import MAX_CONTACTS
from callsheet.ads.identifiers import DEFAULT_TENANT, Identifier
from callsheet.ads.touches import Moment
from callsheet.domain.errors import Problem, ProblemList
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import validation_problems

INVALID = "The webhook is invalid; nothing was stored"
MAX_EVENTS = 1000
"""Events of one webhook. HubSpot sends at most 100."""


class DealMessage(Model):
    """What changed about a deal. Params of the operation `attribute-deal`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"dealId": "deal_123", "stageTo": "closedwon", "dealValue": 1200}]}
    )

    deal_id: Identifier = Field(description="The deal", examples=["deal_123"])
    stage_to: Identifier | None = Field(
        None, description="The stage that it moved to; unset: the known stage", examples=["closedwon"]
    )
    deal_value: Amount | None = Field(
        None, description="Its value, in the currency of the tenant; unset: the known value", examples=[10000]
    )
    tenant_id: Identifier = Field(DEFAULT_TENANT, description="Whose deal it is", examples=["tenant_1"])
    contact_ids: list[Identifier] = Field(
        default_factory=list,
        max_length=MAX_CONTACTS,
        description="People of the deal, whose touches count; they are added to those named before",
    )
    occurred_at: Moment | None = Field(
        None,
        description="When it changed; a time with a zone, or a number of milliseconds since 1970. Of two changes, the "
        "later one counts, in whichever order they come. Unset: now",
    )

    @model_validator(mode="after")
    def _check_change(self) -> "DealMessage":
        if self.stage_to is None and self.deal_value is None and not self.contact_ids:
            raise ValueError("give at least one of stageTo, dealValue and contactIds")
        return self


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message, with the name of its delivery."""

    message: DealMessage
    delivery: str | None
    """The same for a message that is delivered again; None: the sender gives it no id."""


def _empty_is_zero(value: Any) -> Any:
    # HubSpot sends an empty text when a user clears the amount.
    return 0 if value == "" else value


class HubSpotEvent(BaseModel):
    """One event of a webhook of HubSpot. Further fields are ignored: HubSpot adds some now and then."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")

    portal_id: Identifier
    object_id: Identifier
    event_id: Identifier = ""
    occurred_at: Moment
    property_name: Literal["dealstage", "amount"]
    property_value: Any


class _StageEvent(HubSpotEvent):
    property_value: Identifier


class _AmountEvent(HubSpotEvent):
    property_value: Annotated[Amount, BeforeValidator(_empty_is_zero)]


_KINDS: Mapping[str, type[HubSpotEvent]] = {"dealstage": _StageEvent, "amount": _AmountEvent}
_DEALS = "0-3"
"""`objectTypeId` of deals."""


def read_messages(data: Any) -> tuple[list[ReceivedMessage], int]:
    """Return the messages of a webhook, and the number of events that are about something else.

    `data` is the JSON of the body: a list of events of HubSpot, one event, or a message in the form of `DealMessage`.
    Raises ProblemList with every problem.
    """
    if isinstance(data, Mapping) and "subscriptionType" not in data and "objectId" not in data:
        return [ReceivedMessage(_parse(DealMessage, data, ""), None)], 0
    events = data if isinstance(data, list) else [data]
    if len(events) > MAX_EVENTS:
        raise ProblemList(
            [Problem("", "too_large", f"has {len(events):,} events; at most {MAX_EVENTS:,} are allowed")], INVALID
        )
    messages, problems, ignored = [], [], 0
    for place, event in enumerate(events):
        try:
            message = _event_message(event, f"[{place}]" if isinstance(data, list) else "")
        except ProblemList as error:
            problems += error.problems
            continue
        if message is None:
            ignored += 1
        else:
            messages.append(message)
    if problems:
        raise ProblemList(problems, INVALID)
    return messages, ignored


def _event_message(event: Any, path: str) -> ReceivedMessage | None:
    if not isinstance(event, Mapping):
        raise ProblemList([Problem(path, "wrong_type", "must be an event: a JSON object")])
    kind = _KINDS.get(str(event.get("propertyName")))
    if kind is None or not _is_about_deal(event):
        return None
    found = _parse(kind, event, path)
    is_stage = found.property_name == "dealstage"
    message = DealMessage(
        deal_id=found.object_id,
        stage_to=found.property_value if is_stage else None,
        deal_value=None if is_stage else found.property_value,
        tenant_id=found.portal_id,
        occurred_at=found.occurred_at,
    )
    # HubSpot does not promise that ids of events are unique.
    parts = [found.portal_id, found.event_id, found.object_id, found.property_name, str(found.property_value)]
    return ReceivedMessage(message, _digest([*parts, found.occurred_at.isoformat()]))


def _is_about_deal(event: Mapping[str, Any]) -> bool:
    # `deal.propertyChange` in apps of the older kind, `object.propertyChange` with the type of the object in others.
    subject = str(event.get("subscriptionType", "deal")).partition(".")[0]
    return subject == "deal" or (subject == "object" and event.get("objectTypeId") == _DEALS)


def delivery_of(message: DealMessage, version: int) -> str:
    """Return the name of the delivery of a message without an id: its contents, and the version of the deal.

    So a message that comes again before it was processed is the same one. After a further change of the deal, the same
    contents are a new message: the deal moved back.
    """
    return _digest([message.model_dump_json(), version])


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def _parse(model: type[Any], data: Any, path: str) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ProblemList(
            [problem.below(path) if path else problem for problem in validation_problems(error, model)],
            INVALID,
        ) from None
