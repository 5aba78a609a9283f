"""The web application: API and console."""

import asyncio
from functools import partial
from importlib.metadata import version

from fastapi import Depends, FastAPI
from starlette.middleware import Middleware

from callsheet import console
from callsheet.api import (
    artifacts,
    errors,
    events,
    executions,
    files,
    health,
    intakes,
    job_logs,
    jobs,
    models,
    openapi,
    operations,
    polled_workers,
    provider_webhooks,
    providers,
    queues,
    schema,
    uploads,
    videos,
    webhook_deliveries,
    webhook_endpoints,
    workers,
)
from callsheet.api.auth_middleware import AuthMiddleware
from callsheet.api.body_limits import DEFAULT_MAX_BYTES, BodyLimitMiddleware, body_limits
from callsheet.api.head_limits import HeadLimitMiddleware
from callsheet.api.metrics import Metrics
from callsheet.api.overload_middleware import OverloadMiddleware
from callsheet.api.request_middleware import RequestMiddleware
from callsheet.api.route_aliases import alias_router
from callsheet.api.unknown_query import reject_unknown_query
from callsheet.console.session import Sessions
from callsheet.files.partial_files import PartialFiles
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
    providers,
    workers,
    polled_workers,
    intakes,
    files,
    uploads,
    videos,
    webhook_endpoints,
    webhook_deliveries,
    provider_webhooks,
    health,
)


_MAX_LARGE_PLANS = 4
"""Large plans that are processed at the same time: one in the thread of plans, and some in the database."""


def create_app(runtime: Runtime) -> FastAPI:
    """Return the application of an open runtime.

    The application neither opens nor closes resources. `app.state.closing` must be set when the server shuts down,
    so that event streams end; `api.server.Server` does this.
    """
    settings = runtime.settings
    sessions = Sessions(
        runtime.database, runtime.key, settings.api_key.get_secret_value() if settings.api_key else None
    )
    app = FastAPI(
        title="Callsheet",
        version=version("callsheet"),
        generate_unique_id_function=openapi.operation_id,
        docs_url=None,  # the console serves it, without files from another server
        redoc_url=None,
        middleware=[
            Middleware(RequestMiddleware),
            Middleware(HeadLimitMiddleware),
            Middleware(AuthMiddleware, settings=settings, sessions=sessions),
            Middleware(OverloadMiddleware, unknown_bytes=settings.max_body_bytes),
            Middleware(
                BodyLimitMiddleware,
                limits=body_limits(settings),
                default=min(DEFAULT_MAX_BYTES, settings.max_body_bytes),
            ),
        ],
    )
    app.state.runtime = runtime
    app.state.sessions = sessions
    app.state.metrics = Metrics(runtime)
    app.state.partial_uploads = PartialFiles(settings.data_dir / "uploads")
    app.state.large_plans = asyncio.Semaphore(_MAX_LARGE_PLANS)
    app.state.closing = asyncio.Event()
    routers = [module.router for module in ROUTE_MODULES]
    app.openapi = partial(openapi.build_openapi, app, routers)  # type: ignore[method-assign]
    errors.install_error_handlers(app)
    # The aliases first: a request is compared with the routes in their order, and programs submit plans by an alias.
    for router in (alias_router(routers), *routers):
        app.include_router(router, dependencies=[Depends(reject_unknown_query)])
    console.install(app)
    return app
