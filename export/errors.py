"""What can go wrong between a training run and its package."""

from modelpack.errors import GateError, SegError


class ExportError(SegError):
    """The network cannot be written as the graph that was asked for."""


class ParityError(GateError):
    """An artifact does not answer as the network it came from; no package is written."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        """The first stage that broke: `reference`, or the target's name."""
