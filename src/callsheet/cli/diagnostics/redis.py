"""The Redis server of the intakes."""

from collections.abc import AsyncIterator

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.files.fetch import redact_url
from callsheet.settings import Settings

_NO_EVICTION = "noeviction"


async def redis(installation: Installation) -> AsyncIterator[Finding]:
    """Connect to the Redis server, if one is configured."""
    settings = installation.settings
    if settings.redis_url is None and not {"redis_host", "redis_port"} & settings.model_fields_set:
        return
    try:
        from callsheet.intake.redis_connection import UNAVAILABLE, RedisError, connection_options
    except ImportError:
        action = "pip install 'callsheet[redis]', or remove REDIS_URL and REDIS_HOST"
        yield Finding("redis.not_installed", f"the client of {_address(settings)} is not installed", action)
        return
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    client: Redis = Redis(**connection_options(settings), retry=Retry(NoBackoff(), 0))
    try:
        info = await client.info()
    except (*UNAVAILABLE, RedisError, ValueError) as error:
        reason = str(error) or type(error).__name__
        action = "start the server, and check its address, its user and its password in REDIS_URL"
        yield Finding("redis.unavailable", f"{_address(settings)} cannot be used: {reason}", action)
        return
    finally:
        await client.aclose()
    yield ok("redis", f"{_address(settings)}, version {info.get('redis_version')}")
    policy = info.get("maxmemory_policy", _NO_EVICTION)
    if info.get("maxmemory") and policy != _NO_EVICTION:
        message = f"its maxmemory-policy is {policy}: queues of messages can be dropped when its memory is full"
        yield Finding("redis.evicts", message, "set `maxmemory-policy noeviction` in its configuration")


def _address(settings: Settings) -> str:
    """Return the address without its password."""
    if settings.redis_url is None:
        return f"redis://{settings.redis_host}:{settings.redis_port}"
    return redact_url(settings.redis_url.get_secret_value())
