"""What proves an artifact's precision: every convolution and matrix product, and what it computes in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import NonNegativeInt

from export.errors import StageError
from modelpack.settings import StrictModel

Precision = Literal["fp32", "fp16", "bf16", "int8"]

MIN_SHARE_OF_ALL = 0.5
"""Where fewer of all convolutions and products compute in the claimed type, the name of the type is a lie,
however openly the rest was kept."""
_NAMES_SHOWN = 5


class PrecisionError(StageError):
    """An artifact does not compute in the precision it claims; no package is written."""


@dataclass(frozen=True)
class ComputeNode:
    """One convolution or matrix product."""

    name: str
    operator: str
    """As its graph calls it: `Conv`, `MatMul`, `CONVOLUTION`."""
    computes_in: str
    """A `Precision`, or words for anything else ("int8 weights, fp32 data")."""


class PrecisionProof(StrictModel):
    """How many convolutions and matrix products compute in the claimed type, and which do not."""

    claimed: Precision
    nodes: NonNegativeInt
    """Convolutions and matrix products in the graph."""
    in_claimed: NonNegativeInt
    """Those of them that compute in the claimed type."""
    share: float
    """`in_claimed` as a share of all that were not kept on purpose; 1 where there are none."""
    kept: dict[str, str]
    """Nodes that the target declares to be kept in a higher type: name -> what they compute in."""
    others: dict[str, str]
    """Nodes in another type that nobody declared: name -> what they compute in."""
    established: str
    """What was walked: `ONNX graph`, `TensorRT network`, `engine inspector`."""

    @classmethod
    def of(
        cls, claimed: Precision, nodes: Sequence[ComputeNode], *, kept: Collection[str], established: str
    ) -> Self:
        """`kept`: names of the nodes that may compute in another type (`details["kept_float32"]`)."""
        off = [node for node in nodes if node.computes_in != claimed]
        in_claimed = len(nodes) - len(off)
        declared = [node for node in off if node.name in kept]
        due = len(nodes) - len(declared)
        return cls(
            claimed=claimed,
            nodes=len(nodes),
            in_claimed=in_claimed,
            share=in_claimed / due if due else 1.0,
            kept={node.name: node.computes_in for node in declared},
            others={node.name: node.computes_in for node in off if node.name not in kept},
            established=established,
        )

    @property
    def broken(self) -> str | None:
        """What the claim is contradicted by, as a part of a sentence; None where it holds."""
        what = "convolutions and matrix products"
        if self.others:
            shown = [f"{name} ({kind})" for name, kind in list(self.others.items())[:_NAMES_SHOWN]]
            more = len(self.others) - len(shown)
            return (
                f"{len(self.others)} of {self.nodes} {what} do not compute in {self.claimed}: "
                f"{', '.join(shown)}{f' and {more} more' if more else ''}"
            )
        if self.claimed != "fp32" and self.in_claimed < max(1, MIN_SHARE_OF_ALL * self.nodes):
            return (
                f"only {self.in_claimed} of {self.nodes} {what} compute in {self.claimed}, the rest is kept "
                f"in a higher type; the name {self.claimed} asks for a share of {MIN_SHARE_OF_ALL}"
            )
        return None

    def check(self, stage: str) -> None:
        """Raises PrecisionError naming the stage and the nodes, where the claim does not hold."""
        if self.broken:
            raise PrecisionError(
                stage,
                f"{stage} is refused, it is not what it claims ({self.established}): {self.broken}. "
                "Nodes that stay in a higher type on purpose must be declared in details['kept_float32'].",
            )
