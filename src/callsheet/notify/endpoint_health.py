"""Health of webhook endpoints: one that fails for days, or is gone, is disabled."""

from uuid import UUID

import structlog

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.notify.alerts import send_alert
from callsheet.notify.delivery import DeliveryResult
from callsheet.settings import Settings

log = structlog.get_logger(__name__)


async def record_success(connection: Connection, endpoint_id: UUID) -> None:
    """Record that an endpoint has accepted a webhook."""
    await sql.endpoint_succeeded(connection, id=endpoint_id)


async def record_failure(connection: Connection, endpoint_id: UUID, result: DeliveryResult, settings: Settings) -> None:
    """Record a failed attempt. Disable the endpoint, with an alert, if it is gone or has failed for too long.

    Its waiting webhooks fail then; they can be sent again when it is enabled.
    """
    await sql.endpoint_failed(connection, id=endpoint_id)
    after = settings.webhook_disable_after.total_seconds()
    reason = "gone" if result.gone else "failing"
    disabled = await sql.disable_failing_endpoint(connection, id=endpoint_id, reason=reason, after=after or None)
    if disabled is None:
        return
    await sql.fail_webhooks_of_endpoint(connection, id=endpoint_id)
    log.warning("webhook endpoint disabled", endpoint=str(endpoint_id), reason=reason, response=result.message)
    cause = (
        "it responded 410 Gone" if result.gone else f"no delivery succeeded since {disabled['failing_since']:%c} UTC"
    )
    await send_alert(
        connection,
        settings,
        "alert.endpoint_disabled",
        f"The webhook endpoint {endpoint_id} was disabled: {cause}. "
        f"Enable it again with `callsheet webhooks change {endpoint_id} --enable`.",
        {
            "endpointId": str(endpoint_id),
            "reason": reason,
            "failingSince": disabled["failing_since"].isoformat(),
            "lastResponse": result.message,
        },
    )
