"""Networks and sandboxes come, change, survive their daemon, and leave nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from common.errors import Conflict, Forbidden, InvalidArgument, NotAcceptable, NotFound, Unsupported
from common.model import NetworkSpec
from common.model.container import EndpointSettings
from tests.harness.netns import call, cannot_call, greeter, in_namespace
from tests.harness.networks import address, at, subnet, tcp, world
from tests.harness.wait import until
from tests.integration.test_network_dns import ask
from worker.network import namespaces, plumbing
from worker.network.base import Attachment
from worker.network.nft import NftError


async def test_nothing_is_left_behind() -> None:
    async with world() as here:
        before = here.rules()
        await here.networks.create(NetworkSpec(name="six", enable_ipv6=True))
        boxes = [await here.open("one", "six", ports=[tcp(80, 8080)]), await here.open("two", "bridge", "six")]
        await here.networks.disconnect(boxes[1].container_id, "six")
        for box in boxes:
            await here.networks.close(box.container_id)
            await here.networks.close(box.container_id)
        await here.networks.remove("six")
        until(lambda: not here.leftovers(), "everything is gone")
        assert here.rules() == before


async def test_a_failed_open_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as here:
        before = here.rules()

        def fail(*_: object) -> None:
            raise OSError("no")

        for module, name in ((plumbing, "_pair"), (plumbing, "_dress"), (plumbing, "_route"), (namespaces, "_check")):
            with monkeypatch.context() as patch:
                patch.setattr(module, name, fail)
                with pytest.raises(OSError, match="no"):
                    await here.open("one", ports=[tcp(80, 8080)])
            until(lambda: not here.leftovers(), f"nothing is left after {name} failed")
        assert here.rules() == before
        one = await here.open("one", ports=[tcp(80, 8080)])
        assert address(one).endswith(".2"), "the address was given back"


async def test_a_cancelled_open_leaves_nothing() -> None:
    async with world() as here:
        for delay in (0, 0.0005, 0.001, 0.002, 0.004):
            task = asyncio.create_task(here.open("one", ports=[tcp(80, 8080)]))
            await asyncio.sleep(delay)
            task.cancel()
            try:
                sandbox = await task
            except asyncio.CancelledError:
                continue
            await here.networks.close(sandbox.container_id)
        until(lambda: not here.leftovers(), "nothing is left")
        assert not here.networks.inspect("bridge").containers


async def test_sandboxes_survive_the_daemon() -> None:
    async with world() as here:
        await here.networks.create(NetworkSpec(name="net"))
        one = await here.open("one", "bridge", ports=[tcp(80, 8080)])
        two = await here.open("two", "net")
        gone = await here.open("gone", "net", ports=[tcp(80, 9090)])
        rules = here.rules()
        await here.networks.close(gone.container_id)
        again = await here.open("gone", "net", ports=[tcp(80, 9090)])
        async with greeter(one.path, "one"):
            await here.restart([one.container_id, two.container_id])
            assert (await call(here.host.outside, here.host.address, 8080))[0] == "one"
        assert here.networks.sandbox(one.container_id) == one
        assert here.networks.sandbox(again.container_id) is None
        assert again.path.name not in {p.name for p in again.path.parent.iterdir()}
        with pytest.raises(Exception, match="port is already allocated"):
            await here.open("three", ports=[tcp(80, 8080)])
        fresh = await here.open("four", "net", ports=[tcp(80, 9090)])
        assert address(fresh, "net") == address(again, "net")
        assert here.rules().count("dnat") == rules.count("dnat")
        await here.networks.close(one.container_id)
        await here.networks.close(two.container_id)


async def test_half_made_sandboxes_are_cleared() -> None:
    """What a kill -9 leaves: a namespace without a record, a record without a namespace, a folder of files."""
    async with world() as here:
        state = here.settings.state
        one = await here.open("one", ports=[tcp(80, 8080)])
        await here.networks.shut_down()
        namespaces.remove(one.path)
        stray = state / "netns" / "stray"
        await asyncio.to_thread(namespaces.create, stray, lambda: None)
        (state / "netns" / "empty").touch()
        (state / "network" / "files" / "stray").mkdir()
        (state / "network" / "sandboxes" / ".torn.json.new").write_text("{")
        here.networks = type(here.networks)(here.settings, here.events, here.plane)
        await here.start([one.container_id])
        assert here.networks.sandbox(one.container_id) is None
        until(lambda: not here.leftovers(), "all of it is gone")
        assert address(await here.open("two", ports=[tcp(80, 8080)])) == address(one)


async def test_a_container_that_broke_its_own_namespace_does_not_stop_the_daemon() -> None:
    async with world() as here:
        await here.networks.create(NetworkSpec(name="net"))
        one, two = await here.open("one", "net"), await here.open("two", "net")
        in_namespace(one.path, "ip", "link", "set", "lo", "down")
        in_namespace(one.path, "ip", "link", "del", "eth0")
        await here.restart([one.container_id, two.container_id])
        assert here.networks.stats(one.container_id) == {}
        assert (await ask(two.path, "one"))[1] == [address(one, "net")]
        await here.networks.close(one.container_id)


async def test_gateway_priority_and_interface_names() -> None:
    async with world() as here:
        for name in ("a", "b", "c"):
            await here.networks.create(NetworkSpec(name=name))
        one = await here.open("one", "b", "a")
        assert _gateway(one.path) == one.endpoints["a"].gateway, "the first by name"
        assert _interface(one.path, address(one, "a")) == "eth0"
        wish = Attachment(
            network="c",
            settings=EndpointSettings(gw_priority=5, driver_opts={"com.docker.network.endpoint.ifname": "wan"}),
        )
        got = await here.networks.connect(one.container_id, wish)
        assert _gateway(one.path) == got.gateway
        assert _interface(one.path, got.ip_address) == "wan"
        await here.networks.disconnect(one.container_id, "c")
        assert _gateway(one.path) == one.endpoints["a"].gateway
        with pytest.raises(NotFound, match="not connected"):
            await here.networks.disconnect(one.container_id, "c")


async def test_ports_follow_the_gateway() -> None:
    async with world() as here:
        await here.networks.create(NetworkSpec(name="net"))
        one = await here.open("one", "net", ports=[tcp(80, 8080)])
        async with greeter(one.path, "one"):
            await here.networks.connect(one.container_id, at("bridge", gw_priority=1))
            assert (await call(here.host.outside, here.host.address, 8080))[0] == "one"
            await here.networks.disconnect(one.container_id, "net")
            assert (await call(here.host.outside, here.host.address, 8080))[0] == "one"
            await here.networks.disconnect(one.container_id, "bridge")
            assert await cannot_call(here.host.outside, here.host.address, 8080)


async def test_endpoint_options() -> None:
    async with world() as here:
        await here.networks.create(subnet("net", "10.50.0.0/24", options={"com.docker.network.driver.mtu": "1400"}))
        sysctls = {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"}
        one = await here.open("one", at("net", "10.50.0.77", mac_address="02:00:00:00:00:07", driver_opts=sysctls))
        shown = in_namespace(one.path, "ip", "addr", "show", "eth0")
        assert "mtu 1400" in shown
        assert "02:00:00:00:00:07" in shown
        assert "10.50.0.77/24" in shown
        assert in_namespace(one.path, "sysctl", "-n", "net.ipv4.conf.eth0.log_martians").strip() == "1"
        assert here.networks.inspect("net").containers[one.container_id].ipv4_address == "10.50.0.77/24"
        with pytest.raises(Forbidden, match="Address already in use"):
            await here.open("two", at("net", "10.50.0.77"))
        with pytest.raises(InvalidArgument, match="does not belong"):
            await here.open("two", at("net", "10.51.0.1"))
        with pytest.raises(Unsupported, match="endpoint option"):
            await here.open("two", at("net", driver_opts={"x": "y"}))
        with pytest.raises(InvalidArgument, match="user defined networks only"):
            await here.open("two", at("bridge", "172.16.0.9"))
        await here.networks.create(NetworkSpec(name="auto"))
        with pytest.raises(InvalidArgument, match="user configured subnets"):
            await here.open("two", at("auto", "172.17.0.9"))


async def test_what_networks_refuse() -> None:
    async with world() as here:
        create, remove = here.networks.create, here.networks.remove
        await create(subnet("net", "10.50.0.0/24"))
        one = await here.open("one", "net")
        with pytest.raises(Conflict, match="network with name net already exists"):
            await create(NetworkSpec(name="net"))
        with pytest.raises(Forbidden, match="Pool overlaps with other one on this address space"):
            await create(subnet("two", "10.50.0.128/25"))
        with pytest.raises(Forbidden, match="has active endpoints"):
            await remove("net")
        with pytest.raises(Forbidden, match="pre-defined"):
            await remove("bridge")
        with pytest.raises(Forbidden, match="not permitted on predefined"):
            await create(NetworkSpec(name="host"))
        with pytest.raises(NotFound, match="network nothing not found"):
            await remove("nothing")
        with pytest.raises(NotAcceptable):
            await create(NetworkSpec(name="over", driver="overlay"))
        with pytest.raises(Unsupported, match="not supported"):
            await create(NetworkSpec(name="odd", options={"com.example": "1"}))
        with pytest.raises(Conflict, match="exists already"):
            await create(NetworkSpec(name="eth", options={"com.docker.network.bridge.name": "eth0"}))
        assert {n.name for n in here.networks.list()} == {"bridge", "host", "none", "net"}
        assert "eth0" in in_namespace(here.host.inside, "ip", "-br", "link")
        await here.networks.close(one.container_id)


async def test_automatic_subnets_avoid_the_hosts_routes() -> None:
    async with world() as here:
        in_namespace(here.host.inside, "ip", "route", "add", "172.17.0.0/16", "via", here.host.outside_address)
        first = here.networks.inspect(await here.networks.create(NetworkSpec(name="first")))
        assert first.ipam.config[0].subnet not in ("172.17.0.0/16", "")
        await here.networks.remove("first")


async def test_a_subnet_is_free_only_once_its_network_is_gone() -> None:
    async with world() as here:
        await here.networks.create(NetworkSpec(name="old"))
        subnet_of_old = here.networks.inspect("old").ipam.config[0].subnet
        removal = asyncio.create_task(here.networks.remove("old"))
        await asyncio.sleep(0)
        with pytest.raises(NotFound):
            await here.open("one", "old")
        await here.networks.create(NetworkSpec(name="new"))
        assert here.networks.inspect("new").ipam.config[0].subnet != subnet_of_old
        await removal
        again = await here.networks.create(NetworkSpec(name="again"))
        assert here.networks.inspect(again).ipam.config[0].subnet == subnet_of_old


async def test_lookup_by_id_prefix() -> None:
    async with world() as here:
        id = await here.networks.create(NetworkSpec(name="net"))
        assert here.networks.inspect(id[:10]).name == "net"
        assert here.networks.inspect("default").name == "bridge"
        await here.networks.remove(id[:10])


async def test_etc_files() -> None:
    async with world(dns=["192.0.2.53", "127.0.0.1"]) as here:
        one = await here.open(
            "one", extra_hosts=("db:192.0.2.9", "host.docker.internal:host-gateway", "six:2001:db8::1"),
            domainname="example.test", dns_search=("example.test",), dns_options=("timeout:1",),
        )  # fmt: skip
        assert one.hostname.read_text() == "host-one\n"
        assert one.resolv_conf.read_text() == "nameserver 192.0.2.53\nsearch example.test\noptions timeout:1\n"
        hosts = one.hosts.read_text().splitlines()
        assert f"{address(one)}\thost-one.example.test host-one" in hosts
        assert f"{one.endpoints['bridge'].gateway}\thost.docker.internal" in hosts
        assert {"192.0.2.9\tdb", "2001:db8::1\tsix"} <= set(hosts)
        with pytest.raises(InvalidArgument, match="add-host"):
            await here.open("two", extra_hosts=("db:nowhere",))


async def test_stats_count_from_inside() -> None:
    async with world() as here:
        one, two = await here.open("one"), await here.open("two")
        async with greeter(two.path, "x" * 10_000):
            await call(one.path, address(two))
        stats = here.networks.stats(one.container_id)["eth0"]
        assert stats["rx_bytes"] > 10_000 > stats["tx_bytes"]
        assert stats["tx_packets"] > 0


async def test_events_tell_what_happened() -> None:
    async with world() as here:
        await here.networks.create(NetworkSpec(name="net"))
        one = await here.open("one", "net")
        await here.networks.close(one.container_id)
        await here.networks.remove("net")
        seen = [(e.action, e.actor.attributes.get("container", "")) for e in here.events.recent()]
        assert seen == [
            ("create", ""),
            ("connect", one.container_id),
            ("disconnect", one.container_id),
            ("destroy", ""),
        ]


async def test_many_sandboxes_at_once() -> None:
    async with world() as here:
        await here.networks.create(NetworkSpec(name="net"))
        boxes = await asyncio.gather(*(here.open(f"c{n}", "net") for n in range(40)))
        assert len({address(box, "net") for box in boxes}) == 40
        await asyncio.gather(*(here.networks.close(box.container_id) for box in boxes))
        await here.networks.remove("net")
        until(lambda: not here.leftovers(), "nothing is left")


async def test_nft_errors_reach_the_caller() -> None:
    async with world() as here:
        in_namespace(here.host.inside, "nft", "delete", "table", "inet", here.settings.nft_table)
        with pytest.raises(NftError):
            await here.open("one", ports=[tcp(80, 8080)])
        until(lambda: not here.leftovers(), "nothing is left")
        await here.restart([])
        await here.open("one", ports=[tcp(80, 8080)])


def _gateway(path: Path) -> str:
    return in_namespace(path, "ip", "route", "show", "default").split()[2]


def _interface(path: Path, ip_address: str) -> str:
    lines = in_namespace(path, "ip", "-br", "-4", "addr").splitlines()
    return next(line.split("@")[0] for line in lines if f" {ip_address}/" in line)
