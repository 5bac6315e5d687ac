"""What can go wrong between a training run and its package."""

from modelpack.errors import GateError, SegError


class ExportError(SegError):
    """The network cannot be written as the graph that was asked for."""


class StageError(GateError):
    """One stage of the ladder from the trained network to its engines is refused; no package is written."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        """The first stage that broke: `reference`, or the target's name."""


class ParityError(StageError):
    """An artifact does not answer as the network it came from."""
