"""Docker's rules for capabilities."""

from __future__ import annotations

import pytest

from common.errors import InvalidArgument
from worker.runtime.capabilities import DEFAULT, available, resolve


def test_the_default_set_has_dockers_fourteen() -> None:
    assert resolve(None, None, False) == sorted(DEFAULT)
    assert len(DEFAULT) == 14


def test_adding_and_dropping() -> None:
    assert "CAP_SYS_PTRACE" in resolve(["sys_ptrace"], None, False)
    assert "CAP_CHOWN" not in resolve(None, ["CAP_CHOWN"], False)
    assert resolve(["NET_ADMIN"], ["ALL"], False) == ["CAP_NET_ADMIN"]
    assert resolve(None, ["all"], False) == []


def test_all_means_what_the_kernel_has() -> None:
    assert resolve(["ALL"], None, False) == sorted(available())
    assert resolve(["ALL"], ["SYS_ADMIN"], False) == sorted(set(available()) - {"CAP_SYS_ADMIN"})


def test_privileged_has_all_whatever_is_dropped() -> None:
    assert resolve(None, ["ALL"], True) == sorted(available())


def test_an_unknown_capability_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="invalid capability: 'FLY'"):
        resolve(["FLY"], None, False)
