"""Fields of a newer version survive the writes of this one, through the log and through snapshots."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from common.model import Service, ServiceSpec
from manager.store.base import Delete, Put
from manager.store.codec import encode_transaction
from manager.store.foreign import Foreign
from manager.store.store import StateMachine

NOW = datetime(2024, 1, 1, tzinfo=UTC)
encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode


def by_newer(version: int = 0, **changes: Any) -> bytes:
    """An entry in which a newer manager writes a service with fields at two depths that this version lacks."""
    service = Service(id="s", spec=ServiceSpec(name="web", labels={"a": "b"}))
    entry: Any = decode(encode_transaction([Put(service)], NOW, Foreign()))
    kind, id, _, object = entry[1][0]
    object |= {"Mood": "new", "Spec": object["Spec"] | {"Weather": {"sun": 1}}} | changes
    return encode([entry[0], [[kind, id, version, object]], entry[2]])


def present(machine: StateMachine) -> Service:
    found = machine.tables[Service].objects["s"]
    assert isinstance(found, Service)
    return found


def written(machine: StateMachine, service: Service) -> Any:
    return decode(encode_transaction([Put(service)], NOW, machine.foreign))[1][0][3]


def test_what_this_version_does_not_know_comes_back_with_its_own_change() -> None:
    machine = StateMachine()
    assert machine.apply(1, by_newer()) is None
    service = present(machine)
    changed = written(machine, replace(service, spec=replace(service.spec, labels={"a": "c"})))
    assert (changed["Mood"], changed["Spec"]["Weather"], changed["Spec"]["Labels"]) == ("new", {"sun": 1}, {"a": "c"})


def test_it_survives_many_writes_and_a_snapshot() -> None:
    machine = StateMachine()
    machine.apply(1, by_newer())
    for index in (2, 3):
        service = present(machine)
        name = replace(service, spec=replace(service.spec, labels={"n": str(index)}))
        assert machine.apply(index, encode_transaction([Put(name)], NOW, machine.foreign)) is None
    other = StateMachine()
    other.restore(3, machine.snapshot()())
    again = written(other, present(other))
    assert (again["Mood"], again["Spec"]["Weather"]) == ("new", {"sun": 1})


def test_a_newer_version_may_take_its_fields_back() -> None:
    machine = StateMachine()
    machine.apply(1, by_newer())
    entry: Any = decode(by_newer(version=1))
    del entry[1][0][3]["Mood"], entry[1][0][3]["Spec"]["Weather"]
    assert machine.apply(2, encode(entry)) is None
    assert "Mood" not in written(machine, present(machine))


def test_of_a_removed_object_nothing_is_kept() -> None:
    machine = StateMachine()
    machine.apply(1, by_newer())
    machine.apply(2, encode_transaction([Delete(present(machine))], NOW, machine.foreign))
    assert machine.foreign._received == {}


def test_elements_that_stay_keep_their_fields_and_new_ones_have_none() -> None:
    foreign = Foreign()
    raw = encode({"ID": "s", "PastTemplates": {}, "Spec": {"Name": "web", "Networks": [{"Target": "n", "Odd": 1}]}})
    service = msgspec.msgpack.decode(raw, type=Service)
    foreign.note(("Service", "s"), raw, service)
    [network] = service.spec.networks
    more = replace(service, spec=replace(service.spec, networks=[replace(network, target="m"), network]))
    kept = decode(foreign.encode(("Service", "s"), more))
    assert kept["Spec"]["Networks"] == [{"Target": "m"}, {"Target": "n", "Odd": 1}]


def test_objects_of_this_version_cost_nothing() -> None:
    machine = StateMachine()
    service = Service(id="s", spec=ServiceSpec(name="web"))
    machine.apply(1, encode_transaction([Put(service)], NOW, machine.foreign))
    assert machine.foreign._received == {}
