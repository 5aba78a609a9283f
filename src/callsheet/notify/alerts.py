"""Alerts: webhooks to the operator of an installation.

An alert goes to the URL in the settings, and to each endpoint that receives its type. Its body suits Slack, which shows
`text`, and programs such as n8n, which read the rest.
"""

from typing import Any

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.notify.event_types import AlertType
from callsheet.settings import Settings


async def send_alert(
    connection: Connection, settings: Settings, kind: AlertType, text: str, data: dict[str, Any]
) -> None:
    """Write an alert to the outbox, inside the caller's transaction. It is sent and retried as any webhook."""
    body = orjson.dumps({"text": text, "data": data}).decode()
    await sql.store_alert(connection, type=kind, data=body, has_url=settings.alert_webhook_url is not None)


async def alert_failure_streaks(database: Database, settings: Settings) -> int:
    """Send one alert for each queue on which enough jobs failed in a row. Return the number of alerts.

    A streak is alerted once, whatever number of processes do this, and also if it has just ended.
    """

    async def alert(connection: Connection) -> int:
        streaks = await sql.claim_failure_streaks(
            connection,
            threshold=settings.alert_failure_threshold,
            has_url=settings.alert_webhook_url is not None,
        )
        for streak in streaks:
            await send_alert(connection, settings, "alert.queue_failing", *_message(streak))
        await sql.delete_old_failure_streaks(connection, threshold=settings.alert_failure_threshold)
        return len(streaks)

    return await database.retry(alert, timeout=5, transaction=True)


def _message(streak: Any) -> tuple[str, dict[str, Any]]:
    last = orjson.loads(streak["last_failure"])
    error = f"{last['code'] or 'failed'}: {last['message'] or 'no message'}"
    count = "1 job" if streak["failures"] == 1 else f"{streak['failures']} jobs in a row"
    text = (
        f"{count} failed on the queue {streak['queue']}. The last one: {last['operation']} job {last['job_id']} of "
        f"execution {last['execution_id']}, {error}"
    )
    return text, {
        "queue": streak["queue"],
        "failures": streak["failures"],
        "since": streak["started_at"].isoformat(),
        "executionId": last["execution_id"],
        "jobId": last["job_id"],
        "operation": last["operation"],
        "error": {"code": last["code"], "message": last["message"]},
    }
