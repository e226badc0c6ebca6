"""A manager's API over a store in memory, without loops and workers: what tests of endpoints talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp.test_utils import TestClient, TestServer

from manager.agenda import Agenda
from manager.api.context import Context
from manager.api.routes import routes
from manager.api.server import application
from manager.bootstrap import seed
from manager.dispatcher.dispatcher import Dispatcher
from manager.loops.all import all_loops
from manager.members import Alone
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store
from manager.vault import Vault

NODE = "node0"
POOLS = ["10.0.0.0/8"]


class Api:
    """`call` answers (status, decoded body). `settle` lets all loops work."""

    def __init__(self, store: StateStore, client: TestClient[Any, Any], vault: Vault) -> None:
        self.store = store
        self.vault = vault
        self._client = client

    async def call(self, method: str, path: str, body: object = None, **params: str) -> tuple[int, Any]:
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        async with self._client.request(method, path, data=data, params=params, headers=headers) as response:
            raw = await response.read()
            return response.status, msgspec.json.decode(raw) if raw else None

    async def get(self, path: str, **params: str) -> Any:
        status, answer = await self.call("GET", path, **params)
        assert status == 200, answer
        return answer

    async def post(self, path: str, body: object, **params: str) -> Any:
        status, answer = await self.call("POST", path, body, **params)
        assert status in (200, 201), answer
        return answer

    async def refused(self, method: str, path: str, body: object = None, **params: str) -> tuple[int, str]:
        status, answer = await self.call(method, path, body, **params)
        assert status >= 400, answer
        return status, answer["message"]

    async def settle(self) -> None:
        agenda = Agenda(all_loops())
        agenda.start(self.store.view())
        events = self.store.watch()
        while (batch := agenda.next(self.store.view())) is not None:
            await self.store.commit(batch.changes)
            agenda.observe(await anext(events))


@asynccontextmanager
async def api() -> AsyncIterator[Api]:
    async with open_store(MemoryLog()) as store:
        await store.commit(seed(store.view(), NODE, POOLS))
        vault = Vault(bytes(32))
        context = Context(store, Dispatcher(store), vault, Alone(NODE), NODE, POOLS)
        async with TestClient(TestServer(application(routes(context), store))) as client:
            made = Api(store, client, vault)
            await made.settle()
            yield made
