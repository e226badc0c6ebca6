"""All endpoints of a manager."""

from __future__ import annotations

from aiohttp import web

from manager.api.configs import Configs
from manager.api.context import Context
from manager.api.events import Events
from manager.api.guests import Guests
from manager.api.logs import Logs
from manager.api.members import Members
from manager.api.networks import Networks
from manager.api.nodes import Nodes
from manager.api.secrets import Secrets
from manager.api.services import Services
from manager.api.swarm import Swarm
from manager.api.tasks import Tasks
from manager.ca.endpoints import Certification


def routes(context: Context) -> list[web.RouteDef]:
    """For this node, by the UNIX socket."""
    parts = (Swarm, Nodes, Services, Tasks, Secrets, Configs, Networks, Guests, Logs, Events, Members, Certification)
    return [route for part in parts for route in part(context).routes()]


def peer_routes(context: Context) -> list[web.RouteDef]:
    """For other nodes, by the TLS port."""
    return Guests(context).routes()
