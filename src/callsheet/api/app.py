"""The web application: API and console."""

import asyncio
from functools import partial
from importlib.metadata import version

from fastapi import Depends, FastAPI
from starlette.middleware import Middleware

from callsheet import console
from callsheet.access.audit import AuditWriter
from callsheet.access.directory import Directory
from callsheet.access.login import Login
from callsheet.access.oidc_login import OidcLogin
from callsheet.api import (
    ads,
    approvals,
    artifacts,
    audit,
    batches,
    bulk_actions,
    clean_up,
    comfyui,
    costs,
    errors,
    events,
    executions,
    files,
    health,
    hubspot,
    intakes,
    job_lists,
    job_logs,
    job_moves,
    jobs,
    keys,
    models,
    openapi,
    operations,
    plan_checks,
    plans,
    polled_workers,
    provider_webhooks,
    providers,
    queues,
    read_tokens,
    scaling,
    schedules,
    schema,
    upload_probes,
    uploads,
    users,
    videos,
    views,
    webhook_deliveries,
    webhook_endpoints,
    winners,
    workers,
)
from callsheet.api.audit_middleware import AuditMiddleware
from callsheet.api.auth_middleware import AuthMiddleware
from callsheet.api.body_limits import DEFAULT_MAX_BYTES, BodyLimitMiddleware, body_limits
from callsheet.api.cors import cors_middleware
from callsheet.api.event_messages import EventMessages
from callsheet.api.head_limits import HeadLimitMiddleware
from callsheet.api.metrics import Metrics
from callsheet.api.overload_middleware import OverloadMiddleware
from callsheet.api.request_middleware import RequestMiddleware
from callsheet.api.route_access import RouteTable
from callsheet.api.route_aliases import alias_router
from callsheet.api.submission_middleware import SubmissionMiddleware
from callsheet.api.unknown_query import reject_unknown_query
from callsheet.api.upload_probes import UploadProbes
from callsheet.console.session import FormTokens
from callsheet.files.partial_files import PartialFiles
from callsheet.wiring import Runtime

ROUTE_MODULES = (
    executions,
    plans,
    batches,
    schedules,
    clean_up,
    bulk_actions,
    views,
    plan_checks,
    events,
    job_logs,
    jobs,
    job_lists,
    job_moves,
    approvals,
    artifacts,
    operations,
    models,
    schema,
    queues,
    scaling,
    providers,
    workers,
    comfyui,
    polled_workers,
    intakes,
    files,
    upload_probes,
    uploads,
    videos,
    webhook_endpoints,
    webhook_deliveries,
    provider_webhooks,
    hubspot,
    ads,
    winners,
    keys,
    read_tokens,
    users,
    audit,
    costs,
    health,
)


_MAX_PICTURES = 2
"""Pictures of searches that are measured at the same time."""
_MAX_LARGE_PLANS = 4
"""Large plans that are processed at the same time: one in the thread of plans, and some in the database."""


def create_app(runtime: Runtime) -> FastAPI:
    """Return the application of an open runtime.

    The application neither opens nor closes resources. `app.state.closing` must be set when the server shuts down,
    so that event streams end; `api.server.Server` does this. `app.state.worker_trouble` returns why a worker process
    that belongs to the server does not stay up, or None; its starter sets it.
    """
    settings = runtime.settings
    form_tokens = FormTokens(runtime.key)
    audit_writer = AuditWriter(runtime.database)
    routers = [module.router for module in ROUTE_MODULES]
    # The aliases first: a request is compared with the routes in their order, and programs submit plans by an alias.
    api_routers = [alias_router(routers), *routers]
    directory = Directory(runtime.database, settings, runtime.key)
    routes = RouteTable([*api_routers, *console.ROUTERS])
    app = FastAPI(
        title="Callsheet",
        version=version("callsheet"),
        generate_unique_id_function=openapi.operation_id,
        docs_url=None,  # the console serves it, without files from another server
        redoc_url=None,
        middleware=[
            *cors_middleware(settings),
            Middleware(AuditMiddleware, writer=audit_writer),
            Middleware(RequestMiddleware),
            Middleware(HeadLimitMiddleware),
            Middleware(
                AuthMiddleware,
                settings=settings,
                database=runtime.database,
                directory=directory,
                form_tokens=form_tokens,
                routes=routes,
            ),
            Middleware(OverloadMiddleware, settings=settings),
            Middleware(
                BodyLimitMiddleware,
                limits=body_limits(settings),
                default=min(DEFAULT_MAX_BYTES, settings.max_body_bytes),
            ),
            Middleware(SubmissionMiddleware),
        ],
    )
    app.state.runtime = runtime
    app.state.form_tokens = form_tokens
    app.state.routes = routes
    app.state.audit_writer = audit_writer
    app.state.login = Login(runtime.database, directory, settings)
    app.state.oidc_login = _oidc_login(runtime)
    app.state.directory = directory
    app.state.metrics = Metrics(runtime)
    app.state.upload_probes = UploadProbes()
    app.state.partial_uploads = PartialFiles(settings.data_dir / "uploads")
    app.state.picture_turns = asyncio.Semaphore(_MAX_PICTURES)
    app.state.large_plans = asyncio.Semaphore(_MAX_LARGE_PLANS)
    app.state.event_messages = EventMessages()
    app.state.closing = asyncio.Event()
    app.state.worker_trouble = lambda: None
    app.openapi = partial(openapi.build_openapi, app, routers)  # type: ignore[method-assign]
    errors.install_error_handlers(app)
    for router in api_routers:
        app.include_router(router, dependencies=[Depends(reject_unknown_query)])
    console.install(app)
    return app


def _oidc_login(runtime: Runtime) -> OidcLogin | None:
    """Return the sign-in by the provider of the settings, if there is one. Raises ConfigurationError."""
    if runtime.settings.oidc_issuer is None:
        return None
    return OidcLogin(runtime.database, runtime.settings, runtime.key, runtime.base_url)
