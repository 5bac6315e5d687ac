"""An order of one worker that all workers carry out: who still has to answer, and what was answered."""

from dataclasses import dataclass, field

from serve.processes.link import Message


@dataclass
class Ballot:
    """Open until nobody is waited for."""

    asker: int
    """Slot of the worker that asked."""
    question: int
    """The asker's own number for it."""
    waiting: set[int]
    """Slots that have not answered yet."""
    answers: list[Message] = field(default_factory=list)

    def take(self, slot: int, answer: Message) -> None:
        if slot in self.waiting:
            self.waiting.discard(slot)
            self.answers.append({"worker": slot, **answer})

    def lose(self, slot: int) -> None:
        """A worker died before it answered: its successor starts from what was agreed before."""
        self.waiting.discard(slot)
