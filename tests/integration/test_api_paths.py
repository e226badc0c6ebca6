"""Every documented path of the Engine API: it works, or refuses with a sentence and a status that fits."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from tests.harness.daemon import Daemon

# Asked with ids and names that do not exist, and {} as the body. (POST /swarm/init has its own test below.)
PATHS = """
GET    /containers/json                  200
POST   /containers/create                400
GET    /containers/nope/json             404
GET    /containers/nope/top              404
GET    /containers/nope/logs?stdout=1    404
GET    /containers/nope/changes          404
GET    /containers/nope/export           404
GET    /containers/nope/stats            404
POST   /containers/nope/resize?h=1&w=1   404
POST   /containers/nope/start            404
POST   /containers/nope/stop             404
POST   /containers/nope/restart          404
POST   /containers/nope/kill             404
POST   /containers/nope/update           404
POST   /containers/nope/rename?name=x    404
POST   /containers/nope/pause            404
POST   /containers/nope/unpause          404
POST   /containers/nope/attach           404
GET    /containers/nope/attach/ws        404
POST   /containers/nope/wait             404
DELETE /containers/nope                  404
HEAD   /containers/nope/archive?path=/   404
GET    /containers/nope/archive?path=/   404
PUT    /containers/nope/archive?path=/   404
POST   /containers/prune                 200
GET    /images/json                      200
POST   /build                            400
POST   /build/prune                      200
POST   /images/create?fromImage=localhost:9/x 503
GET    /images/nope/json                 404
GET    /images/nope/attestations         400
GET    /images/nope/history              404
POST   /images/nope/push                 404
POST   /images/nope/tag?repo=x           404
DELETE /images/nope                      404
GET    /images/search?term=localhost:9/x 503
POST   /images/prune                     200
POST   /auth                             400
GET    /info                             200
GET    /version                          200
GET    /_ping                            200
HEAD   /_ping                            200
POST   /commit?container=nope            404
GET    /events?until=1                   200
GET    /system/df                        200
GET    /images/nope/get                  404
GET    /images/get?names=nope            404
POST   /images/load                      400
POST   /containers/nope/exec             404
POST   /exec/nope/start                  404
POST   /exec/nope/resize?h=1&w=1         404
GET    /exec/nope/json                   404
GET    /volumes                          200
POST   /volumes/create                   201
GET    /volumes/nope                     404
PUT    /volumes/nope?version=1           404
DELETE /volumes/nope                     404
POST   /volumes/prune                    200
GET    /networks                         200
GET    /networks/nope                    404
DELETE /networks/nope                    404
POST   /networks/create                  400
POST   /networks/nope/connect            400
POST   /networks/nope/disconnect         400
POST   /networks/prune                   200
GET    /plugins                          200
GET    /plugins/privileges?remote=x      400
POST   /plugins/pull?remote=x            400
GET    /plugins/nope/json                404
DELETE /plugins/nope                     404
POST   /plugins/nope/enable              404
POST   /plugins/nope/disable             404
POST   /plugins/nope/upgrade             404
POST   /plugins/create?name=x            400
POST   /plugins/nope/push                404
POST   /plugins/nope/set                 404
GET    /nodes                            200
GET    /nodes/nope                       404
DELETE /nodes/nope                       404
POST   /nodes/nope/update?version=1      404
GET    /swarm                            200
POST   /swarm/join                       400
POST   /swarm/leave                      503
POST   /swarm/update?version=1           409
GET    /swarm/unlockkey                  200
POST   /swarm/unlock                     409
GET    /services                         200
POST   /services/create                  400
GET    /services/nope                    404
DELETE /services/nope                    404
POST   /services/nope/update?version=1   404
GET    /services/nope/logs?stdout=1      404
GET    /tasks                            200
GET    /tasks/nope                       404
GET    /tasks/nope/logs?stdout=1         404
GET    /secrets                          200
POST   /secrets/create                   400
GET    /secrets/nope                     404
DELETE /secrets/nope                     404
POST   /secrets/nope/update?version=1    404
GET    /configs                          200
POST   /configs/create                   400
GET    /configs/nope                     404
DELETE /configs/nope                     404
POST   /configs/nope/update?version=1    404
GET    /distribution/localhost:9/x/json  503
POST   /session                          400
"""
ROWS = [tuple(line.split()) for line in PATHS.strip().splitlines()]


class Connection(http.client.HTTPConnection):
    """HTTP over the daemon's UNIX socket."""

    def __init__(self, shoald: Daemon) -> None:
        super().__init__("d", timeout=20)
        self._path = str(shoald.socket)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


@pytest.fixture(scope="module")
def connection(shoald: Daemon) -> Iterator[Connection]:
    made = Connection(shoald)
    yield made
    made.close()


@pytest.mark.parametrize("prefix", ["", "/v1.40"])
@pytest.mark.parametrize(("method", "path", "status"), ROWS)
def test_a_documented_path_answers(connection: Connection, method: str, path: str, status: str, prefix: str) -> None:
    body = b"{}" if method in ("POST", "PUT") else None
    connection.request(method, prefix + path, body, {"Content-Type": "application/json"} if body else {})
    response = connection.getresponse()
    data = response.read()
    assert response.status == int(status), data
    assert response.headers["Api-Version"]
    if response.status >= 400 and method != "HEAD":
        sentence = json.loads(data)["message"]
        assert len(sentence) > 10
        assert sentence != "page not found"
        assert "internal" not in sentence


def test_swarm_init_succeeds_once(shoald: Daemon) -> None:
    assert "is now a manager" in shoald.docker("swarm", "init")
    assert "already part of a swarm" in shoald.docker_result("swarm", "init").stderr
