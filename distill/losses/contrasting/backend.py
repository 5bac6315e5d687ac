"""What a backend of omni-contrasting is."""

from typing import Protocol

from distill.losses.contrasting.problem import Answer, Problem


class Backend(Protocol):
    """Adds up row losses, and takes their gradient on the way: nothing else is kept for the backward pass."""

    def obstacle(self, problem: Problem) -> str | None:
        """Why it cannot compute this problem, or should not; None if it can."""
        ...

    def solve(self, problem: Problem) -> Answer:
        """Called only where there is no obstacle."""
        ...
