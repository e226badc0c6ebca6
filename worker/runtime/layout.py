"""The names of a container's run-time files: all that a monitor needs or leaves lies in the bundle folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from common.errors import Conflict
from worker.runtime.base import Exit, Launch


@dataclass(frozen=True)
class Layout:
    """The files of one monitored process (a container, or an exec in a folder of its own) called `id`."""

    id: str
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.json"

    @property
    def launch_file(self) -> Path:
        """What the container was created from, for the daemon after this one."""
        return self.folder / "launch.json"

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid"

    @property
    def monitor_pid_file(self) -> Path:
        return self.folder / "conmon.pid"

    @property
    def exit_folder(self) -> Path:
        return self.folder / "exit"

    @property
    def exit_file(self) -> Path:
        return self.exit_folder / self.id

    @property
    def oom_folder(self) -> Path:
        return self.folder / "persist"

    @property
    def oom_file(self) -> Path:
        return self.oom_folder / "oom"

    @property
    def attach_socket(self) -> Path:
        return self.folder / "attach"

    @property
    def control(self) -> Path:
        """The FIFO of the monitor's commands: resize the terminal, reopen the log."""
        return self.folder / "ctl"

    @property
    def execs(self) -> Path:
        return self.folder / "execs"

    def prepare(self) -> None:
        """Remove what an earlier run left, make the folders for the next one."""
        self.clear()
        self.exit_folder.mkdir(parents=True, exist_ok=True)
        self.oom_folder.mkdir(exist_ok=True)

    def clear(self) -> None:
        """Remove a run's files; the launch file last, since it says that there was a run."""
        for path in (
            self.pid_file,
            self.monitor_pid_file,
            self.exit_file,
            self.oom_file,
            self.attach_socket,
            self.control,
            self.folder / "winsz",
            self.oom_folder / "exit",
            self.launch_file,
        ):
            path.unlink(missing_ok=True)

    def save_launch(self, launch: Launch) -> None:
        temporary = self.launch_file.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(launch, enc_hook=str))
        temporary.rename(self.launch_file)

    def load_launch(self) -> Launch:
        return msgspec.json.decode(self.launch_file.read_bytes(), type=Launch, dec_hook=lambda kind, text: kind(text))

    def pid(self) -> int | None:
        return _number(self.pid_file)

    def monitor(self) -> int | None:
        """The monitor's pid where it is alive and really this container's (a pid may be used again after a reboot)."""
        pid = _number(self.monitor_pid_file)
        if pid is None:
            return None
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return None
        return pid if self.id.encode() in command.split(b"\0") else None

    def ended(self) -> Exit | None:
        """How the process ended, by the monitor's exit file; None while there is none."""
        code = _number(self.exit_file)
        if code is None:
            return None
        at = datetime.fromtimestamp(self.exit_file.stat().st_mtime, UTC)
        return Exit(code, at, self.oom_file.exists())

    def record_exit(self, code: int) -> None:
        """Write the exit file in the monitor's place."""
        temporary = self.exit_folder / "new"
        temporary.write_text(str(code))
        temporary.rename(self.exit_file)

    def cgroup(self) -> str:
        """The container's cgroup as its config.json names it, below each hierarchy's mount; "" without a readable one."""
        try:
            linux = json.loads(self.config.read_bytes()).get("linux", {})
        except (OSError, ValueError):
            return ""
        return str(linux.get("cgroupsPath") or "")

    def resize(self, height: int, width: int) -> None:
        """Set the terminal's size in characters. Raises Conflict where the process has ended."""
        self.tell(f"1 {height} {width}\n")

    def tell(self, command: str) -> None:
        """Send the monitor a command line. Raises Conflict where it is gone."""
        try:
            fd = os.open(self.control, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            raise Conflict(f"the process has ended: its monitor cannot be told anything ({error.strerror})") from None
        try:
            os.write(fd, command.encode())
        finally:
            os.close(fd)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
