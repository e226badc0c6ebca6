"""parse_json: Docker's leniency, Shoal's strictness."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidArgument
from common.model import Service, ServiceSpec, Task, TaskState
from common.model.container import ContainerConfig, HostConfig
from common.parse import parse_json


def test_null_means_the_default() -> None:
    assert parse_json('{"Image": "web", "Cmd": null, "Labels": null}', ContainerConfig) == ContainerConfig(image="web")


def test_names_match_without_regard_to_case() -> None:
    assert parse_json('{"hostname": "a", "ENV": ["X=1"]}', ContainerConfig) == ContainerConfig(
        hostname="a", env=["X=1"]
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"Memory": 1, "Foo": {}}', "unknown field 'Foo' in the request's body"),
        ('{"RestartPolicy": {"Nam": "no"}}', "unknown field 'RestartPolicy.Nam' in the request's body"),
        (
            '{"PortBindings": {"80/tcp": [{"HostPrt": "1"}]}}',
            "unknown field \"PortBindings['80/tcp'][0].HostPrt\" in the request's body",
        ),
        ('{"Memory": "much"}', "invalid request: Expected `int`, got `str` - at `$.Memory`"),
        ("[]", "invalid request: Expected `object`, got `array`"),
        ("{", "invalid JSON in the request's body: Input data was truncated"),
    ],
)
def test_what_is_wrong_is_named(text: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_json(text, HostConfig)
    assert caught.value.message == sentence


def test_a_null_in_a_map_of_nullable_values_is_kept() -> None:
    assert parse_json('{"PortBindings": {"80/tcp": null}}', HostConfig).port_bindings == {"80/tcp": None}


def test_swarm_spelling_survives_a_round_trip() -> None:
    text = b'{"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"i","DNSConfig":{"Nameservers":["1.1.1.1"]}}}}'
    spec = parse_json(text, ServiceSpec)
    assert msgspec.json.encode(spec) == text
    packed = msgspec.msgpack.encode(Service(id="s", spec=spec))
    assert msgspec.msgpack.decode(packed, type=Service).spec == spec


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_any_json_is_parsed_or_refused_with_a_sentence(value: object) -> None:
    text = msgspec.json.encode(value)
    if isinstance(value, dict) and not value:
        assert parse_json(text, HostConfig) == HostConfig()
    else:
        with pytest.raises(InvalidArgument, match=r"."):
            parse_json(text, HostConfig)


def test_task_states_are_ordered() -> None:
    assert [s for s in TaskState if s.terminal] == list(TaskState)[8:]
    assert Task(id="t").status.state.order < TaskState.RUNNING.order < TaskState.COMPLETE.order
