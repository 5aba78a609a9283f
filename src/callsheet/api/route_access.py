"""What each route needs: the one table of scopes. A route that is not in it keeps the server from starting."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from re import Pattern

from fastapi import APIRouter
from fastapi.routing import APIRoute

from callsheet.domain.scopes import Scope

_WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Access:
    """What a route needs of its caller."""

    scopes: frozenset[Scope] = frozenset()
    """One of these is needed. Empty: the route is open, or checks a signature, a token or a password itself."""
    read_tokens: bool = False
    """Whether a read token is accepted. The path, or the route itself, says to which execution the answer belongs."""
    is_audited: bool = True
    """Whether writing requests are in the audit log."""

    @property
    def is_recorded_later(self) -> bool:
        """Whether a response does not wait for its entry of the audit log: it can only have added something."""
        return self.scopes == {Scope.SUBMIT}

    @property
    def is_open(self) -> bool:
        """Whether no key is needed."""
        return not self.scopes


OPEN = Access()
READ = Access(frozenset({Scope.READ}))
READ_OF_ONE = replace(READ, read_tokens=True)
SUBMIT = Access(frozenset({Scope.SUBMIT}))
CONTROL = Access(frozenset({Scope.SUBMIT, Scope.OPERATE}))
"""Cancel and retry."""
OPERATE = Access(frozenset({Scope.OPERATE}))
ADMIN = Access(frozenset({Scope.ADMIN}))


def _unaudited(access: Access) -> Access:
    return replace(access, is_audited=False)


ROUTE_ACCESS: Mapping[str, Access] = {
    "POST /api/executions": SUBMIT,
    "GET /api/executions": READ,
    "GET /api/executions/{execution_id}": READ_OF_ONE,
    "DELETE /api/executions/{execution_id}": OPERATE,
    "POST /api/executions/{execution_id}/cancel": CONTROL,
    "POST /api/executions/{execution_id}/retry": CONTROL,
    "GET /api/executions/{execution_id}/events": READ_OF_ONE,
    "GET /api/executions/{execution_id}/logs": READ_OF_ONE,
    "GET /api/executions/{execution_id}/jobs/{job_id:path}/logs": READ_OF_ONE,
    "POST /api/executions/{execution_id}/tokens": READ,
    "POST /api/execute": SUBMIT,
    "GET /api/status/{execution_id}": READ_OF_ONE,
    "GET /api/jobs": READ,
    "GET /api/jobs/{job_record_id}": READ,
    "POST /api/jobs/{job_record_id}/cancel": CONTROL,
    "POST /api/jobs/{job_record_id}/retry": CONTROL,
    "POST /api/jobs/{job_record_id}/run-next": OPERATE,
    "POST /api/jobs/{job_record_id}/hold": OPERATE,
    "POST /api/jobs/{job_record_id}/release": OPERATE,
    "POST /api/jobs/{job_record_id}/change-queue": OPERATE,
    "POST /api/jobs/{job_record_id}/prioritize": OPERATE,
    "POST /api/jobs/{job_record_id}/start-later": OPERATE,
    "GET /api/artifacts": READ,
    "GET /api/artifacts/{artifact_id}": READ_OF_ONE,
    # Stored plans and batches
    "POST /api/plans": OPERATE,
    "GET /api/plans": READ,
    "GET /api/plans/{name}": READ,
    "GET /api/plans/{name}/versions": READ,
    "DELETE /api/plans/{name}": OPERATE,
    "POST /api/plans/{name}/runs": SUBMIT,
    "POST /api/plans/{name}/batches": SUBMIT,
    "POST /api/plans/check": _unaudited(SUBMIT),
    # Schedules
    "GET /api/clean-up": OPERATE,
    "POST /api/clean-up/orphans": OPERATE,
    "GET /api/clean-up/orphans": OPERATE,
    "GET /api/clean-up/orphans/{search_id}/files": OPERATE,
    "POST /api/clean-up/orphans/{search_id}/delete": OPERATE,
    "GET /api/schedules": READ,
    "GET /api/schedules/{name}": READ,
    "GET /api/schedules/{name}/runs": READ,
    "PUT /api/schedules/{name}": OPERATE,
    "DELETE /api/schedules/{name}": OPERATE,
    "POST /api/schedules/{name}/pause": OPERATE,
    "POST /api/schedules/{name}/resume": OPERATE,
    "POST /api/schedules/{name}/run": OPERATE,
    # Batches
    "POST /api/batches": SUBMIT,
    "GET /api/batches": READ,
    "GET /api/batches/{batch_id}": READ,
    "POST /api/batches/{batch_id}/cancel": CONTROL,
    "POST /api/batches/{batch_id}/retry": CONTROL,
    # Bulk actions
    "POST /api/bulk-actions": OPERATE,
    "POST /api/bulk-actions/preview": _unaudited(READ),
    "GET /api/bulk-actions": READ,
    "GET /api/bulk-actions/{action_id}": READ,
    "POST /api/bulk-actions/{action_id}/stop": OPERATE,
    # Saved views: a shared one needs operate, which the route checks itself
    "GET /api/views": READ,
    "PUT /api/views/{list}/{name}": READ,
    "DELETE /api/views/{list}/{name}": READ,
    # Approvals
    "GET /api/approvals": READ,
    "GET /api/approvals/{approval_id}": READ,
    "POST /api/approvals/{approval_id}/approve": OPERATE,
    "POST /api/approvals/{approval_id}/reject": OPERATE,
    # What the installation offers
    "GET /api/operations": READ,
    "GET /api/operations/{name}": READ,
    "GET /api/models": READ,
    "GET /api/models/{model_id:path}": READ,
    "GET /api/plan.schema.json": READ,
    # Fleet
    "GET /api/queues": READ,
    "GET /api/queues/scaling": READ,
    "PATCH /api/queues/{name}": OPERATE,
    "GET /api/providers/held": READ,
    "POST /api/providers/release": OPERATE,
    "GET /api/comfyui/servers": READ,
    "GET /api/workers": READ,
    "GET /api/workers/{worker}/resources": READ,
    "PATCH /api/workers/{worker_id}": OPERATE,
    "DELETE /api/workers/{worker_id}/lanes": OPERATE,
    "POST /api/workers/{worker_id}/drain": OPERATE,
    "POST /api/workers/{worker_id}/stop": OPERATE,
    "GET /api/worker/task": OPERATE,
    "POST /api/worker/task/{task}/lease": _unaudited(OPERATE),
    "POST /api/i2v-webhook/{task}": _unaudited(OPERATE),
    "GET /api/intakes": READ,
    # Files. Their URLs are signed.
    "HEAD /files/{artifact_id}": OPEN,
    "GET /files/{artifact_id}": OPEN,
    "HEAD /files/uploads/{name}": OPEN,
    "GET /files/uploads/{name}": OPEN,
    "POST /api/uploads": SUBMIT,
    "GET /api/uploads": READ,
    "GET /api/uploads/{upload_id}": Access(frozenset({Scope.SUBMIT, Scope.READ})),
    "GET /api/uploads/{upload_id}/probe": Access(frozenset({Scope.SUBMIT, Scope.READ})),
    "DELETE /api/uploads/{upload_id}": OPERATE,
    "PATCH /api/uploads/{upload_id}": _unaudited(SUBMIT),
    "POST /api/uploads/{upload_id}/complete": SUBMIT,
    "POST /v1/videos": SUBMIT,
    "GET /v1/videos": READ,
    "GET /v1/videos/{name}": READ,
    "DELETE /v1/videos/{name}": CONTROL,
    "HEAD /v1/videos/{name}/content": READ,
    "GET /v1/videos/{name}/content": READ,
    # Webhooks. Those of providers have a token in the URL, those of HubSpot a signature.
    "POST /api/webhook-endpoints": OPERATE,
    "GET /api/webhook-endpoints": READ,
    "GET /api/webhook-endpoints/{endpoint_id}": READ,
    "PATCH /api/webhook-endpoints/{endpoint_id}": OPERATE,
    "DELETE /api/webhook-endpoints/{endpoint_id}": OPERATE,
    "POST /api/webhook-endpoints/{endpoint_id}/test": OPERATE,
    "POST /api/webhook-endpoints/{endpoint_id}/rotate-secret": OPERATE,
    "GET /api/webhook-deliveries": READ,
    "GET /api/webhook-deliveries/{delivery_id}": READ,
    "POST /api/webhook-deliveries/resend": OPERATE,
    "POST /api/webhook-deliveries/{delivery_id}/resend": OPERATE,
    "POST /api/webhooks/jobs/{job_record_id}": _unaudited(OPEN),
    "POST /api/webhooks/job/{job_record_id}": _unaudited(OPEN),
    "POST /api/webhooks/hubspot": _unaudited(SUBMIT),
    # Ads
    "POST /api/ads/touches": _unaudited(SUBMIT),
    "POST /api/ads/metrics": _unaudited(SUBMIT),
    "GET /api/ads/stages": READ,
    "PUT /api/ads/stages": OPERATE,
    "GET /api/ads/deals/{deal_id:path}": READ,
    "GET /api/ads/fatigue": READ,
    "GET /api/ads/credits": READ,
    "GET /api/ads/recommendations": READ,
    "POST /api/ads/recommendations": OPERATE,
    "GET /api/ads/winners": READ,
    "POST /api/ads/winners/similar": _unaudited(READ),
    "GET /api/ads/winners/{ad_id:path}": READ,
    "DELETE /api/ads/winners/{ad_id:path}": OPERATE,
    # Access
    "GET /api/me": Access(frozenset(Scope)),
    "GET /api/keys": ADMIN,
    "POST /api/keys": ADMIN,
    "GET /api/keys/{key_id}": ADMIN,
    "DELETE /api/keys/{key_id}": ADMIN,
    "GET /api/users": ADMIN,
    "POST /api/users": ADMIN,
    "PATCH /api/users/{name}": ADMIN,
    "DELETE /api/users/{name}": ADMIN,
    "GET /api/sessions": ADMIN,
    "DELETE /api/sessions/{session_id}": ADMIN,
    "GET /api/audit": ADMIN,
    "GET /api/costs": READ,
    # Monitoring
    "GET /health": OPEN,
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /metrics": READ,
    # Pages
    "GET /": READ,
    "GET /docs": Access(frozenset(Scope)),
    "GET /executions": READ,
    "GET /executions/{execution_id}": READ,
    "POST /executions/{execution_id}/cancel": CONTROL,
    "POST /executions/{execution_id}/retry": CONTROL,
    "POST /executions/{execution_id}/delete": OPERATE,
    "GET /jobs/{job_id}": READ,
    "POST /jobs/{job_id}/cancel": CONTROL,
    "POST /jobs/{job_id}/retry": CONTROL,
    "POST /jobs/{job_id}/moves/{move}": OPERATE,
    "GET /console/queues/{name}/jobs": READ,
    "GET /console/queues/{name}/jobs/stream": READ,
    "GET /console/stream": READ,
    "GET /console/stream/{execution_id}": READ,
    "GET /console/home/stream": READ,
    "POST /console/batches/{batch_id}/cancel": CONTROL,
    "POST /console/batches/{batch_id}/retry": CONTROL,
    "GET /console/bulk-actions": READ,
    "POST /console/bulk-actions": OPERATE,
    "GET /console/bulk-actions/new": READ,
    "GET /console/bulk-actions/{action_id}": READ,
    "GET /console/bulk-actions/{action_id}/stream": READ,
    "POST /console/bulk-actions/{action_id}/stop": OPERATE,
    "POST /console/views/executions": READ,
    "POST /console/views/jobs": READ,
    "POST /console/views/{of}/delete": READ,
    "GET /console/jobs": READ,
    "GET /console/jobs/stream": READ,
    "GET /console/clean-up": OPERATE,
    "GET /console/clean-up/stream": OPERATE,
    "POST /console/clean-up/run": OPERATE,
    "POST /console/clean-up/orphans": OPERATE,
    "POST /console/clean-up/orphans/{search_id}/delete": OPERATE,
    "GET /console/artifacts": READ,
    "GET /console/compare": READ,
    "GET /console/winners": READ,
    "POST /console/winners": _unaudited(READ),
    "GET /console/queues": READ,
    "GET /console/queues/stream": READ,
    "POST /console/queues/{name}/pause": OPERATE,
    "POST /console/queues/{name}/resume": OPERATE,
    "POST /console/queues/{name}/limit": OPERATE,
    "POST /console/queues/{name}/rate": OPERATE,
    "GET /console/workers": READ,
    "GET /console/workers/stream": READ,
    "GET /console/workers/load/stream": READ,
    "POST /console/workers/{worker_id}/lanes": OPERATE,
    "POST /console/workers/{worker_id}/reset-lanes": OPERATE,
    "POST /console/workers/{worker_id}/drain": OPERATE,
    "POST /console/workers/{worker_id}/stop": OPERATE,
    "GET /console/providers": READ,
    "GET /console/providers/stream": READ,
    "POST /console/providers/{name}/release": OPERATE,
    "GET /console/intakes": READ,
    "GET /console/intakes/stream": READ,
    "GET /console/webhooks": READ,
    "GET /console/webhooks/deliveries/{delivery_id}": READ,
    "POST /console/webhooks/deliveries/{delivery_id}/resend": OPERATE,
    "POST /console/webhooks/endpoints/{endpoint_id}/{action}": OPERATE,
    "GET /console/approvals": READ,
    "GET /console/approvals/{approval_id}": READ,
    "POST /console/approvals/{approval_id}": OPERATE,
    "GET /console/plans": READ,
    "GET /console/plans/{name}": READ,
    "POST /console/plans/{name}": SUBMIT,
    "GET /console/schedules": READ,
    "GET /console/schedules/{name}": READ,
    "POST /console/schedules/{name}/{action}": OPERATE,
    "GET /console/new": READ,
    "POST /console/new": SUBMIT,
    "GET /console/models": READ,
    "GET /console/new/model": READ,
    "POST /console/new/model": SUBMIT,
    "GET /console/access": ADMIN,
    "POST /console/access/keys": ADMIN,
    "POST /console/access/keys/{key_id}/revoke": ADMIN,
    "POST /console/access/users": ADMIN,
    "POST /console/access/users/{name}/change": ADMIN,
    "POST /console/access/users/{name}/disable": ADMIN,
    "POST /console/access/users/{name}/enable": ADMIN,
    "POST /console/access/users/{name}/delete": ADMIN,
    "POST /console/access/sessions/{session_id}/end": ADMIN,
    "GET /console/audit": ADMIN,
    "GET /approvals/{approval_id}": OPEN,
    "POST /approvals/{approval_id}": OPEN,
    "GET /login": OPEN,
    "POST /login": OPEN,
    "GET /login/oidc": OPEN,
    "GET /login/oidc/callback": OPEN,
    "POST /logout": OPEN,
}
"""Method and path of a route → what it needs."""


_BY_FORMAT = {route.replace(":path}", "}"): access for route, access in ROUTE_ACCESS.items()}


def access_of(method: str, path: str) -> Access:
    """Return what a route needs, by its path as in the OpenAPI document."""
    return _BY_FORMAT[f"{method} {path}"]


@dataclass(frozen=True, slots=True)
class MatchedRoute:
    """The route of a request."""

    name: str
    access: Access
    path_params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Known:
    pattern: Pattern[str]
    name: str
    access: Access


class RouteTable:
    """Finds the route of a request before it reaches the router, which takes the first that matches, too."""

    def __init__(self, routers: Iterable[APIRouter]) -> None:
        """Raises LookupError with every route that `ROUTE_ACCESS` does not have."""
        routes = [
            (method, route)
            for router in routers
            for route in router.routes
            if isinstance(route, APIRoute)
            for method in sorted(route.methods or ())
        ]
        if unknown := [f"{m} {route.path}" for m, route in routes if f"{m} {route.path}" not in ROUTE_ACCESS]:
            raise LookupError(f"ROUTE_ACCESS says nothing of {', '.join(unknown)}")
        self._by_start: dict[tuple[str, str], list[_Known]] = defaultdict(list)
        starts = {(method, _start(route.path)) for method, route in routes}
        for method, route in routes:
            known = _Known(route.path_regex, route.name, ROUTE_ACCESS[f"{method} {route.path}"])
            for start in {start for m, start in starts if m == method and _may_start(route.path, start)}:
                self._by_start[method, start].append(known)

    def find(self, method: str, path: str) -> MatchedRoute | None:
        """Return the route of a request; None if there is none."""
        start = _start(path)
        for known in self._by_start.get((method, start)) or self._by_start.get((method, f"{_first(start)}/*")) or ():
            if match := known.pattern.match(path):
                return MatchedRoute(known.name, known.access, match.groupdict())
        return None


def _start(path: str) -> str:
    """Return the first two segments of a path or of the path of a route; `*` for one with a parameter."""
    parts = path.split("/", 3)[1:3]
    return "/".join("*" if part.startswith("{") else part for part in parts)


def _first(start: str) -> str:
    return start.partition("/")[0]


def _may_start(route_path: str, start: str) -> bool:
    """Return whether a path that starts so can be one of the route."""
    own = _start(route_path)
    return own == start or (own.endswith("/*") and _first(own) == _first(start) and "/" in start)


def is_writing(method: str) -> bool:
    """Return whether requests with a method change something."""
    return method in _WRITING
