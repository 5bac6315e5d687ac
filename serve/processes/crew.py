"""The workers of one service: forked, watched, replaced, and asked all together."""

import itertools
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from serve.processes.ballot import Ballot
from serve.processes.link import Link, LinkClosedError, Message
from serve.processes.member import Member

logger = logging.getLogger(__name__)

YOUNG_S = 10.0
"""A worker that dies before it is so old was probably born with what killed it."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
"""Before the successor of the second young death in a row; doubled with each further one."""

NO_BALLOT = -1

Work = Callable[[int, Link, Sequence[Message]], NoReturn]
"""(slot, link to the supervisor, orders agreed so far): what a forked process does until it exits."""


class Crew:
    """`count` places for workers. Dead workers are succeeded until `disband` was called."""

    def __init__(
        self, work: Work, count: int, selector: selectors.BaseSelector, hang_timeout_s: float
    ) -> None:
        self.members: dict[int, Member] = {}
        """Living workers by slot."""
        self.restarts = 0
        self.count = count
        self.orphans: list[socket.socket] = []
        """Connections that a worker was given and died before it took; whoever can gives them to another."""
        self.failure: str | None = None
        """Why the first generation did not start; nobody is succeeded then."""
        self._work = work
        self._selector = selector
        self._hang_timeout_s = hang_timeout_s
        self._vacancies: dict[int, tuple[float, int]] = dict.fromkeys(range(count), (0.0, 0))
        """Slot -> (when to fork, early deaths in a row)."""
        self._agreed: dict[str, Message] = {}
        """Orders that a successor has to carry out too, by what they are about: the last word counts."""
        self._ballots: dict[int, Ballot] = {}
        self._numbers = itertools.count()
        self._is_disbanded = False
        self._was_ready = False

    @property
    def is_ready(self) -> bool:
        """Whether every place is held by a worker that is ready."""
        ready = sum(member.state == "ready" for member in self.members.values())
        return ready == self.count

    def fill_vacancies(self) -> None:
        now = time.monotonic()
        for slot, (due, early_deaths) in list(self._vacancies.items()):
            if now >= due and not self._is_disbanded:
                del self._vacancies[slot]
                self._fork(slot, early_deaths)

    def kill_the_hung(self) -> None:
        for member in list(self.members.values()):
            if member.silence_s > self._hang_timeout_s:
                logger.error("worker %d said nothing for %.1f s and is killed", member.pid, member.silence_s)
                self._lose(member)

    def tell(self, message: Message) -> None:
        for member in list(self.members.values()):
            member.tell(message)

    def disband(self, message: Message) -> None:
        """Nobody is succeeded from now on."""
        self._is_disbanded = True
        self.tell(message)

    def kill(self) -> None:
        self._is_disbanded = True
        for member in list(self.members.values()):
            self._lose(member)

    def _fork(self, slot: int, early_deaths: int) -> None:
        ours, theirs = Link.pair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for other in self.members.values():
                other.link.close()
                for connection in other.untaken:
                    connection.close()
            for connection in self.orphans:
                connection.close()
            self._selector.close()
            self._work(slot, theirs, tuple(self._agreed.values()))
        theirs.close()
        member = self.members[slot] = Member(slot, pid, ours, early_deaths)
        member.born_with = tuple(self._agreed.values())
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._listen_to(member))

    def _listen_to(self, member: Member) -> None:
        try:
            while (received := member.link.receive()) is not None:
                self._hear(member, received[0])
        except LinkClosedError:
            self._lose(member)

    def _hear(self, member: Member, message: Message) -> None:
        member.heard_at = time.monotonic()
        match message["kind"]:
            case "alive":
                member.take(message["taken"])
            case "closed":
                member.connections -= 1
            case "state":
                member.state, member.reason = message["state"], message["reason"]
                if member.state == "ready":
                    self._tell_what_it_missed(member)
                self._was_ready = self._was_ready or self.is_ready
            case "ask":
                self._call_ballot(member, message)
            case "answer":
                self._count(message["ballot"], member.slot, message)

    def _call_ballot(self, asker: Member, message: Message) -> None:
        """Pass an order on to all workers that are ready; the asker hears when all have answered."""
        order = message["order"]
        number = next(self._numbers)
        voters = [member for member in self.members.values() if member.state == "ready"]
        self._ballots[number] = Ballot(asker.slot, message["question"], {member.slot for member in voters})
        if "agreed" in message:
            self._agreed.pop(message["agreed"], None)  # the last word also comes last
            self._agreed[message["agreed"]] = order
        for member in voters:
            if not member.tell({"kind": "order", "ballot": number, "order": order}):
                self._ballots[number].lose(member.slot)
        self._close_ballot_if_done(number)

    def _tell_what_it_missed(self, member: Member) -> None:
        """What was agreed while it got ready, and had no voice yet. Nobody waits for its answers."""
        for order in self._agreed.values():
            if order not in member.born_with:
                member.tell({"kind": "order", "ballot": NO_BALLOT, "order": order})

    def _count(self, number: int, slot: int, answer: Message) -> None:
        if number in self._ballots:
            self._ballots[number].take(slot, answer["answer"])
            self._close_ballot_if_done(number)

    def _close_ballot_if_done(self, number: int) -> None:
        ballot = self._ballots[number]
        if ballot.waiting:
            return
        del self._ballots[number]
        if ballot.asker in self.members:
            facts = {"workers": self.count, "alive": len(self.members), "restarts": self.restarts}
            self.members[ballot.asker].tell(
                {"kind": "outcome", "question": ballot.question, "answers": ballot.answers, "crew": facts}
            )

    def _lose(self, member: Member) -> None:
        self._selector.unregister(member.link)
        ending = member.bury()
        self.orphans.extend(member.untaken)
        del self.members[member.slot]
        for number in list(self._ballots):
            self._ballots[number].lose(member.slot)
            self._close_ballot_if_done(number)
        if self._is_disbanded:
            return
        if not self._was_ready:
            self.failure = member.reason or f"a worker {ending} before it was ready; see the log."
            self._is_disbanded = True
            return
        self.restarts += 1
        early_deaths = member.early_deaths + 1 if member.age_s < YOUNG_S else 0
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (early_deaths - 2)) if early_deaths > 1 else 0.0
        self._vacancies[member.slot] = time.monotonic() + wait_s, early_deaths
        logger.error("worker %d %s; its successor starts in %g s", member.pid, ending, wait_s)
