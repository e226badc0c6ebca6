"""conmon and crun alone, on the bundle of a container that the daemon made: the floor under its start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from bench.peers import IMAGE, Peer


class Bundle:
    """A running container lends its root file system, its network namespace and its config.json."""

    def __init__(self, ours: Peer, state: Path) -> None:
        self._ours = ours
        self._state = state
        self._folder = state / "bare"
        self._runtime = next(
            path for path in (state / "crun-hybrid", Path(shutil.which("crun") or "")) if path.exists()
        )
        self._config: dict[str, Any] = {}
        self._lender = ""

    def __enter__(self) -> Bundle:
        made = self._ours.client.post("/containers/create", {"Image": IMAGE, "Cmd": ["sleep", "1000"]})
        self._lender = made["Id"]
        self._ours.client.post(f"/containers/{self._lender}/start")
        self._config = json.loads((self._state / "containers" / self._lender / "config.json").read_text())
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.client.delete(f"/containers/{self._lender}?force=1")
        shutil.rmtree(self._folder, ignore_errors=True)

    def create_start(self) -> float:
        """Milliseconds until a container of the lent bundle runs; it is removed afterwards."""
        id = uuid.uuid4().hex * 2
        folder = self._folder / id
        folder.mkdir(parents=True)
        cgroup = Path(self._config["linux"]["cgroupsPath"]).parent / id
        config = {**self._config, "linux": {**self._config["linux"], "cgroupsPath": str(cgroup)}}
        (folder / "config.json").write_text(json.dumps(config))
        begin = time.perf_counter()
        self._create(id, folder)
        self._crun("start", id)
        taken = time.perf_counter() - begin
        self._crun("delete", "--force", id)
        return taken * 1000

    def _create(self, id: str, folder: Path) -> None:
        """Start conmon and wait until it reports the container's pid."""
        read, write = os.pipe()
        command = ["conmon", "--api-version", "1", "--cid", id, "--cuuid", id, "--name", id, "--full-attach"]
        command += ["--runtime", str(self._runtime), "--bundle", str(folder), "--socket-dir-path", str(folder)]
        command += ["--exit-dir", str(folder), "--persist-dir", str(folder), "--container-pidfile", str(folder / "pid")]
        command += ["--log-path", f"k8s-file:{folder}/log", "--no-sync-log"]
        for argument in self._globals:
            command += ["--runtime-arg", argument]
        environment = {"PATH": os.environ["PATH"], "_OCI_SYNCPIPE": str(write)}
        subprocess.run(command, env=environment, pass_fds=[write], check=True)
        os.close(write)
        with open(read) as sync:
            answer = json.loads(sync.readline())
        if answer.get("data", -1) <= 0:
            raise RuntimeError(f"crun create failed: {answer}")

    def _crun(self, *arguments: str) -> None:
        subprocess.run([self._runtime, *self._globals, *arguments], check=True)

    @property
    def _globals(self) -> list[str]:
        return [f"--root={self._folder}/crun", "--cgroup-manager=cgroupfs"]
