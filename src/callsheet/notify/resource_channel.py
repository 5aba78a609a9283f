"""Publish the measurements of workers to Redis, where systems that Callsheet replaces have put them.

Each is a JSON document, published on the channel `monitor_resources`. Since a channel forgets, the newest one of all
workers is also under the key `monitor_resources`, and that of each worker under `monitor_resources:NAME`.
"""

from datetime import timedelta
from typing import Any

import orjson
import structlog
from pydantic import SecretStr

from callsheet.domain.resources import Resources, earlier_document
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

CHANNEL = "monitor_resources"
"""Name of the channel and of the key."""
_TIMEOUT = 5.0
"""Seconds."""
_KEPT_INTERVALS = 3
"""Measurements after which the keys of a worker that has ended expire."""


class ResourceChannel:
    """Publishes measurements to one Redis. A Redis that is away costs measurements there, and nothing else."""

    def __init__(self, url: SecretStr, *, interval: timedelta) -> None:
        """`interval` is the time between two measurements of a worker."""
        self._url = url
        self._expiry = max(1, round(interval.total_seconds() * _KEPT_INTERVALS))
        self._is_failing = False

    async def publish(self, worker: str, resources: Resources) -> None:
        """Publish a measurement of the worker with this name. Failures are logged, once until it works again."""
        try:
            await self._send(worker, resources)
        except ImportError:
            self._failed("REDIS_URL is set, but the extra is not installed: pip install 'callsheet[redis]'")
        except Exception as error:  # noqa: BLE001 - the classes of the client are in the optional package
            self._failed(f"{type(error).__name__}: {error}")
        else:
            if self._is_failing:
                log.info("measurements are published to Redis again")
            self._is_failing = False

    async def _send(self, worker: str, resources: Resources) -> None:
        from redis.asyncio import Redis

        document = {"worker": worker, **earlier_document(resources.model_dump(mode="json"))}
        text = orjson.dumps(document)
        options: dict[str, Any] = {"socket_timeout": _TIMEOUT, "socket_connect_timeout": _TIMEOUT}
        async with (
            Redis.from_url(self._url.get_secret_value(), **options) as client,
            client.pipeline(transaction=False) as pipe,
        ):
            pipe.set(CHANNEL, text, ex=self._expiry)
            pipe.set(f"{CHANNEL}:{worker}", text, ex=self._expiry)
            pipe.publish(CHANNEL, text)
            await pipe.execute()

    def _failed(self, reason: str) -> None:
        if not self._is_failing:
            log.warning("measurements cannot be published to Redis", reason=reason)
        self._is_failing = True


def resource_channel(settings: Settings) -> ResourceChannel | None:
    """Return the channel of the settings; None without REDIS_URL."""
    if settings.redis_url is None:
        return None
    return ResourceChannel(settings.redis_url, interval=settings.resource_interval)
