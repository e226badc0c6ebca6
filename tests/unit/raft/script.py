"""Scenarios of the Raft core as text: commands after "> ", and below each the whole trace that it leaves.

Commands:
  group ID… [learners ID…]     begin with these members, all empty
  tick ID… N                   N ticks of these members' clocks
  campaign ID                  stand for election
  lead ID                      be elected and commit a first entry, with no word of how
  propose ID WORD…             propose these entries together; x*70 is a long one
  change ID voters ID… [learners ID…]    propose a configuration
  transfer ID TO               hand over leadership
  read ID TICKET               ask for a read index
  compact ID                   snapshot what is applied and cut the log behind it
  crash ID, start ID           power off, losing what is not persisted; power on
  cut ID…                      lose all that is sent to or from these members; "cut" alone heals
  ready ID                     carry out what one member has to do; what it sends waits
  again                        deliver once more all that was delivered by the last deliver or run
  deliver                      deliver all that waits
  run                          ready for all and deliver, until nothing moves
  status                       one line for each member

Trace: "a>b Append …" is a message sent ("a>b lost …" over a cut path), "a persists …" and "a applies …" what its driver did.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from manager.raft.core import Config, Core, Entry, EntryKind, InstallSnapshot, Message, Ready, Settings, Snapshot
from manager.raft.core.types import decode_config
from tests.simulation.raft_member import Disk

SETTINGS = Settings(election=10, heartbeat=3, batch=64, window=3)


class Steady(Random):
    """Every election timeout is 15 ticks, so that scripts say who stands first; a lease lasts 10."""

    def randrange(self, *_: object, **__: object) -> int:
        return 5


class Script:
    def __init__(self) -> None:
        self._cores: dict[str, Core] = {}
        self._disks: dict[str, Disk] = {}
        self._waiting: list[Message] = []
        self._delivered: list[Message] = []
        self._cut: set[str] = set()
        self._trace: list[str] = []

    def perform(self, command: str) -> list[str]:
        """Carry out one command; returns its trace."""
        self._trace = []
        verb, *words = command.split()
        act: Callable[..., None] = getattr(self, f"do_{verb}")
        act(*words)
        return self._trace

    def _say(self, text: str) -> None:
        self._trace.append(text)

    def _member(self, id: str, config: Config) -> None:
        self._disks[id] = Disk(config)
        self.do_start(id)

    # -- commands

    def do_group(self, *words: str) -> None:
        config = parse_config(words)
        for id in config.members:
            self._member(id, config)

    def do_tick(self, *words: str) -> None:
        for id in words[:-1]:
            for _ in range(int(words[-1])):
                self._cores[id].tick()

    def do_campaign(self, id: str) -> None:
        self._cores[id].campaign()

    def do_lead(self, id: str) -> None:
        self.do_campaign(id)
        self.do_run()
        state = self._cores[id].state
        self._trace = [f"{id} leads in term {state.term}, commit {state.log.commit}"]

    def do_propose(self, id: str, *words: str) -> None:
        index = self._cores[id].propose([stretch(word) for word in words])
        self._say({-1: "refused", 0: "passed on"}.get(index, f"at {index}"))

    def do_change(self, id: str, _: str, *words: str) -> None:
        config = parse_config(words)
        for new in config.members:
            if new not in self._disks:
                self._member(new, Config())
        self._say("proposed" if self._cores[id].change(config) else "refused")

    def do_transfer(self, id: str, to: str) -> None:
        self._say("begun" if self._cores[id].transfer(to) else "refused")

    def do_read(self, id: str, ticket: str) -> None:
        self._say("asked" if self._cores[id].read(int(ticket)) else "no leader is known")

    def do_compact(self, id: str) -> None:
        state = self._cores[id].state
        index = state.log.handed
        snapshot = Snapshot(index, state.log.term(index), state.config, b"state")
        self._disks[id].save_snapshot(snapshot)
        self._cores[id].compact(snapshot, keep=0)

    def do_crash(self, id: str) -> None:
        del self._cores[id]

    def do_start(self, id: str) -> None:
        self._cores[id] = Core(id, self._disks[id].load(), Steady(), SETTINGS)

    def do_cut(self, *ids: str) -> None:
        self._cut = set(ids)

    def _cut_off(self, message: Message) -> bool:
        return bool({message.sender, message.to} & self._cut)

    def do_deliver(self) -> None:
        self._delivered, self._waiting = self._waiting, []
        self.do_again()

    def do_again(self) -> None:
        for message in self._delivered:
            if message.to in self._cores and not self._cut_off(message):
                self._cores[message.to].step(message)

    def do_run(self) -> None:
        for _ in range(50):
            before = len(self._trace)
            for id in sorted(self._cores):
                self.do_ready(id)
            if len(self._trace) == before and not self._waiting:
                return
            self.do_deliver()
        raise AssertionError("the group does not come to rest")

    def do_status(self) -> None:
        for id, core in sorted(self._cores.items()):
            state, log = core.state, core.state.log
            self._say(
                f"{id} {state.role.value} term {state.term} leader {state.leader or '-'}"
                f" log {log.offset}..{log.last}/{log.last_term} commit {log.commit}"
            )

    def do_ready(self, id: str) -> None:
        while (ready := self._cores[id].ready()) is not None:
            self._carry_out(id, ready)

    def _carry_out(self, id: str, ready: Ready) -> None:
        self._send(ready.messages)
        if ready.must_persist:
            self._disks[id].write(ready)
            self._say(f"{id} persists {show_persisted(ready)}")
        self._cores[id].persisted(ready)
        self._send(ready.replies)
        for entry in ready.committed:
            self._say(f"{id} applies {show_entry(entry)}")
        for read in ready.reads:
            self._say(f"{id} may read {read.ticket} at {read.index}")

    def _send(self, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, InstallSnapshot):
                snapshot = self._disks[message.sender].snapshot
                message = msgspec.structs.replace(message, snapshot=snapshot)
            lost = "lost " if self._cut_off(message) else ""
            self._say(f"{message.sender}>{message.to} {lost}{show_message(message)}")
            self._waiting.append(message)


def parse_config(words: tuple[str, ...]) -> Config:
    """a b learners c"""
    split = words.index("learners") if "learners" in words else len(words)
    return Config(voters=frozenset(words[:split]), learners=frozenset(words[split + 1 :]))


def stretch(word: str) -> bytes:
    """x*70 → 70 times x"""
    text, _, count = word.partition("*")
    return text.encode() * int(count or 1)


def show_entry(entry: Entry) -> str:
    match entry.kind:
        case EntryKind.EMPTY:
            what = "-"
        case EntryKind.CONFIG:
            what = show_config(decode_config(entry.data))
        case _:
            what = entry.data.decode() if len(entry.data) < 20 else f"{entry.data[:1].decode()}*{len(entry.data)}"
    return f"{entry.index}/{entry.term}:{what}"


def show_config(config: Config) -> str:
    learners = f" learners {' '.join(sorted(config.learners))}" if config.learners else ""
    return f"({' '.join(sorted(config.voters))}{learners})"


def show_persisted(ready: Ready) -> str:
    state = ready.hard_state
    parts = [f"term {state.term} vote {state.vote or '-'} commit {state.commit}"]
    if ready.snapshot is not None:
        parts.append(f"snapshot {ready.snapshot.index}/{ready.snapshot.term}")
    if ready.cut >= 0:
        parts.append(f"nothing behind {ready.cut}")
    return " ".join([*parts, *map(show_entry, ready.entries)])


def show_message(message: Message) -> str:
    """The message's kind and fields, as they are worth reading."""
    words = [type(message).__name__, f"term {message.term}"]
    for name in message.__struct_fields__[3:]:
        value = getattr(message, name)
        match value:
            case Snapshot():
                words.append(f"{value.index}/{value.term} {show_config(value.config)}")
            case [Entry(), *_]:
                words += map(show_entry, value)
            case bool():
                words += [name] if value else []
            case [] | bytes():
                continue
            case 0 if name in ("hint", "hint_term", "read"):
                continue
            case _:
                words.append(f"{name} {value}")
    return " ".join(words)
