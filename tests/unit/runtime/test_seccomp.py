"""Seccomp profiles: conditions, the default list, hostile input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.errors import InvalidArgument
from worker.runtime.capabilities import DEFAULT
from worker.runtime.seccomp import default_profile, parse_profile, profile


def resolved(*capabilities: str, wanted: Any = None, kernel: str = "6.1.0", machine: str = "x86_64") -> dict[str, Any]:
    result = profile({*DEFAULT, *capabilities}, wanted, machine=machine, kernel=kernel)
    assert result is not None
    return result


def allowed(oci: dict[str, Any]) -> set[str]:
    """Calls that are allowed whatever their arguments are."""
    rules = (rule for rule in oci["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule)
    return {name for rule in rules for name in rule["names"]}


def test_the_default_refuses_what_is_not_listed() -> None:
    oci = resolved()
    assert (oci["defaultAction"], oci["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert {"read", "execve", "openat2", "chroot"} <= allowed(oci)
    refused = {"unshare", "mount", "setns", "bpf", "clone3", "keyctl", "io_uring_setup", "reboot", "clone"}
    assert not refused & allowed(oci)


def test_clone_may_make_no_namespaces() -> None:
    clone = [rule for rule in resolved()["syscalls"] if rule["names"] == ["clone"]]
    assert [rule["args"][0]["value"] for rule in clone] == [0x7E020000]
    clone3 = [rule for rule in resolved()["syscalls"] if rule["names"] == ["clone3"]]
    assert [(rule["action"], rule["errnoRet"]) for rule in clone3] == [("SCMP_ACT_ERRNO", 38)]


def test_a_capability_opens_its_calls() -> None:
    assert {"mount", "unshare", "clone", "clone3"} <= allowed(resolved("CAP_SYS_ADMIN"))
    assert "reboot" in allowed(resolved("CAP_SYS_BOOT"))


def test_the_kernel_and_the_machine_decide() -> None:
    assert "ptrace" in allowed(resolved(kernel="4.8.0-generic"))
    assert "ptrace" not in allowed(resolved(kernel="4.7.10"))
    assert resolved(machine="aarch64")["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert "arch_prctl" in allowed(resolved())
    assert "arch_prctl" not in allowed(resolved(machine="aarch64"))


def test_unconfined_is_no_profile() -> None:
    assert profile(DEFAULT, "unconfined") is None


def test_a_users_profile_is_resolved_the_same_way() -> None:
    text = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "chmod", "action": "SCMP_ACT_ERRNO"}]})
    oci = resolved(wanted=parse_profile(text))
    assert oci["syscalls"] == [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO"}]
    assert oci["architectures"] == ["SCMP_ARCH_X86_64"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"defaultAction": 1}', '{"defaultAction": "SCMP_ACT_ALLOW", "sysCalls": []}'],
)
def test_a_broken_profile_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="seccomp profile"):
        parse_profile(text)


def test_a_rule_with_unknown_fields_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="'nmaes'"):
        resolved(wanted={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"nmaes": ["x"], "action": "SCMP_ACT_ERRNO"}]})


def test_the_shipped_list_names_no_call_twice() -> None:
    names = default_profile()["syscalls"][0]["names"]
    assert sorted(set(names)) == sorted(names)
