"""Services on the network: published ports balanced over tasks, names, host-mode ports, networks between services."""

from __future__ import annotations

import subprocess
from collections import Counter

from tests.harness.services import WEB, Services
from tests.harness.visitor import visitor
from tests.harness.wait import until

# Answers with its version; told to stop, it first finishes what has come in.
PATIENT_WEB = (
    "sh", "-c", 'trap "sleep .3; exit" TERM; mkdir /www; echo $V >/www/index.html; httpd -f -p 80 -h /www & wait; wait',
)  # fmt: skip


def answers(services: Services, port: int, count: int, host: str = "127.0.0.1") -> Counter[str]:
    return Counter(services.fetch(port, host).strip() for _ in range(count))


def test_a_published_port_is_balanced_over_all_tasks(services: Services) -> None:
    with services.service(
        "web", "--replicas", "3", "--publish", "8081:80", "--hostname", "{{.Service.Name}}-{{.Task.Slot}}", command=WEB
    ):
        tasks = services.until_running("web", 3)
        names = {f"web-{task['Slot']}" for task in tasks}
        until(lambda: set(answers(services, 8081, 6)) == names, "all three tasks answer, and nobody else")
        by_address = answers(services, 8081, 30, services.daemon.address)
        assert set(by_address) == names
        assert min(by_address.values()) >= 3
        assert services.inspect("web")["Endpoint"]["Ports"][0]["PublishedPort"] == 8081


def test_a_published_port_answers_from_outside(services: Services) -> None:
    daemon = services.daemon
    with services.service("web", "--publish", "8082:80", command=WEB):
        services.until_running("web", 1)
        url = f"http://{daemon.address}:8082/"
        command = ["nsenter", f"--net=/run/netns/{daemon.outside}", "--", "curl", "-sS", "--max-time", "3", url]
        until(
            lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0,
            "the outside gets an answer",
        )


def test_a_port_chosen_by_the_cluster_is_shown_and_answers(services: Services) -> None:
    with services.service("web", "--publish", "80", command=WEB):
        services.until_running("web", 1)
        port = services.inspect("web")["Endpoint"]["Ports"][0]["PublishedPort"]
        assert 30000 <= port <= 32767
        until(lambda: services.fetch(port), "the chosen port answers")


def test_a_port_that_is_taken_by_a_service_is_refused(services: Services) -> None:
    with services.service("one", "--publish", "8083:80", command=WEB):
        words = (
            "service",
            "create",
            "--detach",
            "--no-resolve-image",
            "--name",
            "two",
            "--publish",
            "8083:80",
            "busybox",
        )
        refused = services.daemon.docker_result(*words)
        assert refused.returncode != 0
        assert "port '8083' is already in use by service 'one'" in refused.stderr


def test_nobody_outside_notices_a_rolling_update(services: Services) -> None:
    options = ("--replicas", "2", "--publish", "8084:80", "--update-order", "start-first", "--update-monitor", "100ms")
    health = ("--health-cmd", "wget -qO- http://127.0.0.1/", "--health-interval", "100ms", "--stop-signal", "TERM")
    with services.service("web", *options, *health, "--env", "V=1", command=PATIENT_WEB):
        services.until_running("web", 2)
        until(lambda: services.fetch(8084), "the service answers")
        with visitor(services.daemon, 8084) as visit:
            for version in ("2", "3"):
                services.update("web", "--env-add", f"V={version}")
                services.until_running("web", 2, lambda task, env=f"V={version}": env in services.environment(task))
                services.until_update("web", "completed")
        assert visit.failures == {}
        assert visit.answers.keys() == {"1", "2", "3"}
        assert sum(visit.answers.values()) > 100


def test_host_mode_ports_are_the_tasks_own(services: Services) -> None:
    with services.service("web", "--publish", "mode=host,target=80,published=8085", command=WEB):
        [task] = services.until_running("web", 1)
        until(lambda: services.fetch(8085), "the host's port answers")
        [port] = task["Status"]["PortStatus"]["Ports"]
        assert (port["TargetPort"], port["PublishedPort"], port["PublishMode"]) == (80, 8085, "host")


def test_services_find_each_other_by_name_on_their_network(services: Services) -> None:
    services.daemon.docker("network", "create", "--driver", "overlay", "mesh")
    with (
        services.service(
            "db", "--network", "mesh", "--replicas", "2", "--hostname", "{{.Service.Name}}-{{.Task.Slot}}", command=WEB
        ),
        services.service("app", "--network", "name=mesh,alias=front"),
    ):
        backends = services.until_running("db", 2)
        [app] = services.until_running("app", 1)
        names = {f"db-{task['Slot']}" for task in backends}

        vip = services.inspect("db")["Endpoint"]["VirtualIPs"][0]["Addr"].partition("/")[0]
        assert services.resolve(app, "db") == {vip}
        addresses = {task["NetworksAttachments"][0]["Addresses"][0].partition("/")[0] for task in backends}
        assert services.resolve(app, "tasks.db") == addresses
        until(lambda: len(services.resolve(backends[0], "front")) == 1, "the alias of app leads to its VIP")

        def all_answer() -> bool:
            return {services.exec(app, "wget", "-qO-", f"http://{vip}/").strip() for _ in range(6)} == names

        until(all_answer, "the VIP of db leads to both tasks")
    services.daemon.docker("network", "rm", "mesh")


def test_dnsrr_gives_the_addresses_of_the_tasks(services: Services) -> None:
    services.daemon.docker("network", "create", "--driver", "overlay", "plain")
    with services.service("db", "--network", "plain", "--replicas", "2", "--endpoint-mode", "dnsrr"):
        tasks = services.until_running("db", 2)
        addresses = {task["NetworksAttachments"][0]["Addresses"][0].partition("/")[0] for task in tasks}
        until(lambda: services.resolve(tasks[0], "db") == addresses, "db resolves to both tasks")
        assert "VirtualIPs" not in services.inspect("db")["Endpoint"]
    services.daemon.docker("network", "rm", "plain")


def test_the_host_network(services: Services) -> None:
    with services.service("web", "--network", "host", command=("httpd", "-f", "-p", "8086", "-h", "/etc")):
        services.until_running("web", 1)
        command = services.daemon.inside("curl", "-sS", "http://127.0.0.1:8086/passwd")
        until(
            lambda: "root" in subprocess.run(command, capture_output=True, text=True, check=False).stdout, "it answers"
        )
