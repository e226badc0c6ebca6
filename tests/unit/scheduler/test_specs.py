"""Versions of a service's task template: when they change, when an old one returns, which spec a task runs."""

from __future__ import annotations

from msgspec.structs import replace

from common.model import ContainerSpec, EndpointSpec, PortConfig, Service, ServiceSpec, TaskSpec, Version
from manager.specs import pruned, respecified, template


def spec(image: str, *host_ports: int, **labels: str) -> ServiceSpec:
    ports = [PortConfig(target_port=80, published_port=port, publish_mode="host") for port in host_ports]
    task = TaskSpec(container_spec=ContainerSpec(image=image))
    return ServiceSpec(name="web", task_template=task, endpoint_spec=EndpointSpec(ports=ports), labels=labels)


def service(*history: ServiceSpec) -> Service:
    made = Service(id="web", spec=history[0], spec_version=Version(index=1))
    for later in history[1:]:
        made = respecified(made, later)
    return made


def image(spec: TaskSpec) -> str:
    assert spec.container_spec is not None
    return spec.container_spec.image


def test_a_changed_template_has_a_new_number_and_the_old_one_is_kept() -> None:
    changed = service(spec("a"), spec("b"), spec("c"))
    assert changed.spec_version.index == 3
    assert [image(template(changed, number)) for number in (1, 2, 3)] == ["a", "b", "c"]


def test_what_needs_no_new_tasks_keeps_the_number() -> None:
    assert service(spec("a"), spec("a", tier="front")).spec_version.index == 1


def test_a_template_that_returns_has_its_old_number_again() -> None:
    back = service(spec("a"), spec("b"), spec("a"))
    assert back.spec_version.index == 1
    assert set(back.past_templates) == {2}
    assert respecified(back, spec("c")).spec_version.index == 3


def test_host_ports_are_part_of_what_a_task_runs() -> None:
    moved = service(spec("a", 8080), spec("a", 8081))
    assert moved.spec_version.index == 2
    assert respecified(moved, spec("a", 8080)).spec_version.index == 3


def test_templates_that_no_task_runs_are_forgotten() -> None:
    kept = pruned(service(spec("a"), spec("b"), spec("c")), {2, 3})
    assert set(kept.past_templates) == {2}
    assert image(template(kept, 1)) == "c", "the present one stands in for what is not known any more"


def test_a_client_is_behind_once_the_spec_changed_after_what_it_saw() -> None:
    stored = replace(service(spec("a")), version=Version(index=7))
    assert respecified(stored, spec("b")).respecified_at == 7
