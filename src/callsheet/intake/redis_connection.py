"""The Redis server of the intakes."""

from typing import Any

from redis.exceptions import BusyLoadingError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from callsheet.settings import Settings

SOCKET_TIMEOUT = 60.0
"""Seconds. Longer than every blocking command: redis-py 8 has 5 s by default, which breaks those that wait longer."""

UNAVAILABLE = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, OSError, TimeoutError)
"""Errors of a server that restarts, fails over or is disconnected."""

__all__ = ["SOCKET_TIMEOUT", "UNAVAILABLE", "RedisError", "connection_options"]


def connection_options(settings: Settings) -> dict[str, Any]:
    """Return the arguments of a connection pool."""
    from redis.asyncio.connection import parse_url

    if settings.redis_url is None:
        options: dict[str, Any] = {"host": settings.redis_host, "port": settings.redis_port}
    else:
        options = dict(parse_url(settings.redis_url.get_secret_value()))
    return {**options, "socket_timeout": SOCKET_TIMEOUT, "socket_connect_timeout": 5.0, "socket_keepalive": True}
