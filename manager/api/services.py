"""Services: create, list, inspect, update, roll back, remove. Running them is the loops' work."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web
from msgspec.structs import replace

from common import http
from common.errors import Conflict, InvalidArgument, Unsupported, VersionConflict
from common.filters import Filters
from common.ids import object_id
from common.model import Service, ServiceSpec, Task, TaskState, UpdateStatus, Version
from common.model.service import JobStatus
from common.names import random_name
from manager.api import shapes
from manager.api.context import Context
from manager.api.lookup import find
from manager.api.service_status import service_status
from manager.loops.slots import is_job, iteration, mode, remove
from manager.specs import respecified, task_spec
from manager.store.base import Change, Delete, Put, View
from manager.validation.references import check_references, normalized
from manager.validation.service import check_service, same_mode

FILTERS = ("id", "label", "mode", "name")


_ACCOUNT = (
    "the account for the registry (--with-registry-auth) is not kept with the service yet: "
    "nodes pull without it, or use the image that they have"
)

_SECRETS = ("password", "auth", "identitytoken", "registrytoken")


class Services:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/services", self.list),
            web.post("/services/create", self.create),
            web.get("/services/{id}", self.inspect),
            web.post("/services/{id}/update", self.update),
            web.delete("/services/{id}", self.remove),
        ]

    async def list(self, request: web.Request) -> web.Response:
        filters = Filters.parse(request.query.get("filters"), FILTERS)
        view = self._context.view
        shown = [_shown(view, s, status=http.flag(request, "status")) for s in view.all(Service) if _wanted(s, filters)]
        return http.answer(shown)

    async def inspect(self, request: web.Request) -> web.Response:
        service = find(self._context.view, Service, request.match_info["id"])
        return http.answer(shapes.service(service, defaults=http.flag(request, "insertDefaults")))

    async def create(self, request: web.Request) -> web.Response:
        given = await http.body(request, ServiceSpec)
        id = object_id()

        def build(view: View) -> tuple[Sequence[Change], None]:
            spec = given if given.name else replace(given, name=_free_name(view))
            spec = _checked(view, spec)
            _check_name(view, spec.name)
            job = JobStatus(last_execution=view.now) if spec.mode.replicated_job or spec.mode.global_job else None
            return [Put(Service(id=id, spec=spec, spec_version=Version(index=1), job_status=job))], None

        await self._context.transact(build)
        return http.answer({"ID": id, **_warnings(request)}, 201)

    async def update(self, request: web.Request) -> web.Response:
        given = await http.body(request, ServiceSpec)
        seen = http.required_number(request, "version")
        back = request.query.get("rollback", "")
        if back not in ("", "previous"):
            raise InvalidArgument(f"unrecognized rollback option {back}")

        def build(view: View) -> tuple[Sequence[Change], None]:
            service = find(view, Service, request.match_info["id"])
            if not service.respecified_at < seen <= service.version.index:
                raise VersionConflict("update out of sequence", ("service", service.id))
            return [Put(_rolled_back(view, service) if back else _updated(view, service, given))], None

        await self._context.transact(build)
        return http.answer({"Warnings": None, **_warnings(request)})

    async def remove(self, request: web.Request) -> web.Response:
        def build(view: View) -> tuple[Sequence[Change], None]:
            service = find(view, Service, request.match_info["id"])
            return removal(view, service), None

        await self._context.transact(build)
        return http.empty(200)


def removal(view: View, service: Service) -> list[Change]:
    """The service goes at once; its tasks keep their specs until their workers have ended them."""
    tasks = [task for task in view.find(Task, "service", service.id) if task.desired_state != TaskState.REMOVE]
    return [Delete(service), *(remove(replace(task, spec=task_spec(view, task))) for task in tasks)]


def _updated(view: View, service: Service, given: ServiceSpec) -> Service:
    spec = _checked(view, given, service.id)
    if spec.name != service.spec.name:
        raise Unsupported("renaming services is not supported")
    if not same_mode(service.spec.mode, spec.mode):
        raise InvalidArgument("service mode change is not allowed")
    return replace(_next_iteration(view, respecified(service, spec)), previous_spec=service.spec, update_status=None)


def _rolled_back(view: View, service: Service) -> Service:
    if service.previous_spec is None:
        raise InvalidArgument(f"service {service.spec.name} does not have a previous spec", ("service", service.id))
    status = UpdateStatus(state="rollback_started", started_at=view.now, message="manually requested rollback")
    back = _next_iteration(view, respecified(service, service.previous_spec))
    return replace(back, previous_spec=service.spec, update_status=None if is_job(service) else status)


def _next_iteration(view: View, service: Service) -> Service:
    """A job runs again with every update."""
    if not is_job(service):
        return service
    status = JobStatus(job_iteration=Version(index=iteration(service) + 1), last_execution=view.now)
    return replace(service, job_status=status)


def _checked(view: View, spec: ServiceSpec, service_id: str = "") -> ServiceSpec:
    check_service(spec)
    spec = normalized(view, spec)
    check_references(view, spec, service_id)
    return spec


def _check_name(view: View, name: str) -> None:
    if view.find(Service, "name", name.lower()):
        raise Conflict(f"name conflicts with an existing object: service {name} already exists", ("service", name))


def _free_name(view: View) -> str:
    attempt = 0
    while view.find(Service, "name", name := random_name(attempt)):
        attempt += 1
    return name


def _wanted(service: Service, filters: Filters) -> bool:
    return (
        filters.prefix("id", service.id)
        and any(service.spec.name.startswith(name) for name in filters.values("name") or ("",))
        and filters.exact("mode", mode(service))
        and filters.labels(service.spec.labels)
    )


def _warnings(request: web.Request) -> dict[str, list[str]]:
    """An account that the client sends along would have no effect, which it is told."""
    text = request.headers.get("X-Registry-Auth", "")
    try:
        account = msgspec.json.decode(b64decode(text + "=" * (-len(text) % 4), altchars=b"-_") or b"{}")
    except (binascii.Error, msgspec.DecodeError):
        raise InvalidArgument("the header X-Registry-Auth is no base64url of JSON") from None
    has_secret = isinstance(account, dict) and any(account.get(name) for name in _SECRETS)
    return {"Warnings": [_ACCOUNT]} if has_secret else {}


def _shown(view: View, service: Service, *, status: bool) -> dict[str, Any]:
    shown = shapes.service(service)
    if status:
        shown["ServiceStatus"] = service_status(view, service)
    return shown
