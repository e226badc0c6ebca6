"""Who takes part in the group: members are added, promoted and removed by the leader, one configuration at a time.

The rules of a single step are the core's; here a wish ("this manager is a voter") becomes as many steps as it takes.
A wish may be repeated: what is so already is not done again. While one waits, proposals go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from common.errors import Conflict, Unavailable
from manager.raft.core import Config, Core, Role
from manager.raft.pulse import Pulse

replace = msgspec.structs.replace
Step = Callable[[Config], Config | None]  # the next configuration, the same where something must happen first, or None


class Member(msgspec.Struct, frozen=True):
    """One manager in the group. `reachable`: it was heard of within the last election timeout; all are heard of only by
    the leader, a follower hears of the leader alone."""

    id: str
    address: str
    voter: bool
    leader: bool
    reachable: bool


class Hearing:
    """When each member was last heard of, in ticks."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._heard: dict[str, int] = {}
        self.now = 0
        self.led = 0  # since when this member leads, if it does

    def heard(self, id: str) -> None:
        self._heard[id] = self.now

    def is_settled(self) -> bool:
        """As leader: long enough to have heard of all that are there."""
        return self.now - self.led > self._core.state.settings.election

    def reaches(self, id: str) -> bool:
        state = self._core.state
        limit = self.now - state.settings.election
        return id == state.id or self._heard.get(id, limit) > limit


class Membership:
    """`patience` in ticks: how long a wish may make no progress; a member that is `busy` takes a snapshot in just now.
    `turned` beats after each turn of the driver, `wake` begins one; `barrier` is that of the log."""

    def __init__(
        self,
        core: Core,
        hearing: Hearing,
        turned: Pulse,
        patience: int,
        wake: Callable[[], None],
        busy: Callable[[str], bool],
        barrier: Callable[[], Awaitable[None]],
    ) -> None:
        self._core = core
        self._hearing = hearing
        self._turned = turned
        self._patience = patience
        self._wake = wake
        self._busy = busy
        self._barrier = barrier

    def members(self) -> list[Member]:
        state = self._core.state
        config = state.config
        return [
            Member(
                id,
                config.addresses.get(id, ""),
                voter=id in config.voters,
                leader=id == state.leader,
                reachable=self._hearing.reaches(id),
            )
            for id in config.members
        ]

    async def joined(self, address: str) -> None:
        """See RaftLog.joined."""
        state = self._core.state
        while state.id not in state.config.voters or address not in ("", state.config.addresses.get(state.id)):
            await self._turned.wait()

    async def add(self, id: str, address: str, birth: str) -> None:
        """See RaftLog.add."""
        catching_up = CatchUp(self._core, id, self._hearing)

        def step(config: Config) -> Config | None:
            if id in config.members and birth and config.births.get(id, "") != birth:
                return self._without(config, id)
            return _towards_voter(config, id, address, birth, catching_up)

        await self._reach(
            step, id, f"the manager {id} at {address} does not take the log: see that both reach each other"
        )

    async def remove(self, id: str) -> None:
        """See RaftLog.remove."""
        term = self._leading()
        if id == self._core.state.id:
            while not self._is_spared(self._core.state.config, id):
                await self._turned.wait()
            await self.hand_over()
            raise Unavailable("this manager led, and has handed over: the new leader can remove it", ("node", id))

        def step(config: Config) -> Config | None:
            return self._without(config, id) if id in config.members else None

        await self._reach(step, id, f"no quorum of managers agrees to the removal of {id}", term)

    async def hand_over(self) -> None:
        """Give leadership to the voter that has most of the log. Raises Unavailable where none takes it."""
        state = self._core.state
        term = self._leading()
        others = [peer for peer in state.progress if peer in state.config.voters and self._hearing.reaches(peer)]
        best = max(others, key=lambda peer: state.progress[peer].match, default="")
        if not self._core.transfer(best):
            raise Unavailable("no other manager is there that could lead")
        self._wake()
        # Leadership has ended with this term, or once the successor was given up.
        while state.role is Role.LEADER and state.term == term and state.transferee:
            await self._turned.wait()
        if state.role is Role.LEADER and state.term == term:
            raise Unavailable(f"the manager {best} did not take over in time")

    def keep_own(self, address: str, birth: str) -> None:
        """As leader: write down where this member listens and which life it lives, where that is not known yet."""
        config, id = self._core.state.config, self._core.state.id
        known = config.addresses.get(id, ""), config.births.get(id, "")
        wanted = address or known[0], birth or known[1]
        if known != wanted and id in config.voters:
            self._core.change(_with(config, id, *wanted))

    async def _reach(self, step: Step, id: str, stalled: str, term: int = 0) -> None:
        term = self._leading(term)
        progress, since = self._progress(id), self._hearing.now
        before = self._core.state.config
        while (wanted := step(self._core.state.config)) is not None:
            if wanted != self._core.state.config and self._core.change(wanted):
                self._wake()
            await self._turned.wait()
            self._leading(term)
            if self._progress(id) != progress or self._busy(id):
                progress, since = self._progress(id), self._hearing.now
            elif self._hearing.now - since > self._patience:
                raise Unavailable(stalled, ("node", id))
        if self._core.state.config is not before:
            # Members go by what they know to be committed: a quorum must know, before this one may be lost.
            await self._barrier()

    def _leading(self, term: int = 0) -> int:
        """The term in which this member leads. Raises Unavailable where it does not, or not in `term` (0: any)."""
        state = self._core.state
        if state.role is not Role.LEADER or term not in (0, state.term):
            raise Unavailable("this manager does not lead: the leading one changes who belongs to the managers")
        return state.term

    def _progress(self, id: str) -> tuple[Config, int]:
        progress = self._core.state.progress.get(id)
        return self._core.state.config, progress.match if progress else 0

    def _without(self, config: Config, id: str) -> Config:
        return without(config, id) if self._is_spared(config, id) else config

    def _is_spared(self, config: Config, id: str) -> bool:
        """True where the rest can go on without `id`, False where a new leader does not know yet. Raises Conflict."""
        left = config.voters - {id}
        if id not in config.voters:
            return True
        if not left:
            raise Conflict(f"{id} is the last manager: without it there would be no cluster", ("node", id))
        alive = [voter for voter in left if self._hearing.reaches(voter)]
        if len(alive) <= len(left) // 2 and self._hearing.is_settled():
            raise Conflict(
                f"removing the manager {id} would lose the quorum: of the {len(left)} managers left only {len(alive)} "
                "answer, so bring others back or add new ones first",
                ("node", id),
            )
        return len(alive) > len(left) // 2


class CatchUp:
    """Whether a learner may become a voter. In rounds (thesis 4.2.1): each lasts until the learner has all that the leader
    had when the round began; one that is shorter than an election timeout is the last."""

    def __init__(self, core: Core, id: str, hearing: Hearing) -> None:
        self._state = core.state
        self._id = id
        self._hearing = hearing
        self._begin()

    def _begin(self) -> None:
        self._target = self._state.log.last
        self._since = self._hearing.now

    def done(self) -> bool:
        progress = self._state.progress.get(self._id)
        if progress is None or progress.match < self._target:
            return False
        quick = self._hearing.now - self._since < self._state.settings.election
        self._begin()
        return quick


def without(config: Config, id: str) -> Config:
    others = {key: value for key, value in config.addresses.items() if key != id}
    births = {key: value for key, value in config.births.items() if key != id}
    return Config(config.voters - {id}, config.learners - {id}, others, births)


def _with(config: Config, id: str, address: str, birth: str) -> Config:
    births = config.births | {id: birth} if birth else config.births
    return replace(config, addresses=config.addresses | {id: address}, births=births)


def _towards_voter(config: Config, id: str, address: str, birth: str, catching_up: CatchUp) -> Config | None:
    if id not in config.members:
        return replace(_with(config, id, address, birth), learners=config.learners | {id})
    if config.addresses.get(id, "") != address:
        return _with(config, id, address, birth)
    if id in config.voters:
        return None
    if not catching_up.done():
        return config
    return replace(config, voters=config.voters | {id}, learners=config.learners - {id})
