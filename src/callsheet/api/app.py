"""The web application: API and console."""

import asyncio
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware import Middleware

from callsheet import console
from callsheet.api import (
    artifacts,
    errors,
    events,
    executions,
    files,
    health,
    job_logs,
    jobs,
    models,
    openapi,
    operations,
    provider_webhooks,
    queues,
    schema,
    videos,
    workers,
)
from callsheet.api.auth_middleware import AuthMiddleware
from callsheet.api.limits import BodyLimitMiddleware
from callsheet.api.metrics import Metrics
from callsheet.api.request_middleware import RequestMiddleware
from callsheet.api.route_aliases import alias_router
from callsheet.console.session import Sessions
from callsheet.wiring import Runtime

ROUTE_MODULES = (
    executions,
    events,
    job_logs,
    jobs,
    artifacts,
    operations,
    models,
    schema,
    queues,
    workers,
    files,
    videos,
    provider_webhooks,
    health,
)


def create_app(runtime: Runtime) -> FastAPI:
    """Return the application of an open runtime.

    The application neither opens nor closes resources. `app.state.closing` must be set when the server shuts down,
    so that event streams end; `api.server.Server` does this.
    """
    settings = runtime.settings
    sessions = Sessions(runtime.key, settings.api_key.get_secret_value() if settings.api_key else None)
    app = FastAPI(
        title="Callsheet",
        version=version("callsheet"),
        generate_unique_id_function=openapi.operation_id,
        redoc_url=None,
        middleware=[
            Middleware(RequestMiddleware),
            Middleware(AuthMiddleware, settings=settings, sessions=sessions),
            Middleware(BodyLimitMiddleware, max_bytes=settings.max_body_bytes),
        ],
    )
    app.state.runtime = runtime
    app.state.sessions = sessions
    app.state.metrics = Metrics(runtime)
    app.state.closing = asyncio.Event()
    routers = [module.router for module in ROUTE_MODULES]
    app.openapi = partial(openapi.build_openapi, app, routers)  # type: ignore[method-assign]
    errors.install_error_handlers(app)
    for router in (*routers, alias_router(routers)):
        app.include_router(router)
    console.install(app)
    return app
