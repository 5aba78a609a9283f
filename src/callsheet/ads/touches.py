"""Touches: contacts of deals and people with ads."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from callsheet.ads.identifiers import DEFAULT_TENANT, Identifier
from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.model import Model

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def _plausible(value: datetime) -> datetime:
    if not _EARLIEST <= value <= datetime.now(UTC) + timedelta(days=1):
        raise ValueError("must be a time from 2000 to now; numbers are seconds or milliseconds since 1970")
    return value


Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
"""A time with its zone, from the year 2000 to one day from now."""


class NewTouch(Model):
    """A contact with an ad: of a deal, or of a person who may become one."""

    tenant_id: Identifier = DEFAULT_TENANT
    deal_id: Identifier | None = Field(None, description="The deal; give this or `contactId`")
    contact_id: Identifier | None = Field(None, description="The person, whom `contactIds` of a deal names later")
    ad_id: Identifier
    at: Moment = Field(description="When it happened, with a time zone", examples=["2026-11-20T09:30:00Z"])
    kind: Identifier = Field("click", max_length=50, description="What happened: `click`, `view`, `form`…")

    @model_validator(mode="after")
    def _check_subject(self) -> "NewTouch":
        if (self.deal_id is None) == (self.contact_id is None):
            raise ValueError("give dealId or contactId, and not both")
        return self


async def add_touches(database: Database, touches: Sequence[NewTouch]) -> int:
    """Store touches, and return how many are new. One that is stored already is not stored again."""
    by_tenant: dict[str, list[NewTouch]] = {}
    for touch in touches:
        by_tenant.setdefault(touch.tenant_id, []).append(touch)

    async def add() -> int:
        added = 0
        async with database.transaction() as connection:
            for tenant, each in sorted(by_tenant.items()):
                rows = await sql.add_touches(
                    connection,
                    tenant=tenant,
                    subject_kinds=["contact" if touch.deal_id is None else "deal" for touch in each],
                    subjects=[touch.deal_id or touch.contact_id for touch in each],
                    times=[touch.at for touch in each],
                    ads=[touch.ad_id for touch in each],
                    kinds=[touch.kind for touch in each],
                )
                added += len(rows)
        return added

    return await database.repeat(add, timeout=10)
