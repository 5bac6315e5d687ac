"""How long the costs of variants are measured."""

from pydantic import Field, NonNegativeInt, PositiveInt

from distill.step_bench.intervals import FEWEST_ROUNDS
from modelpack.settings import StrictModel


class CostConfig(StrictModel):
    """Rounds over all variants, each time in a process of its own."""

    rounds: int = Field(default=5, ge=FEWEST_ROUNDS)
    """Visits to each variant; intervals are over them."""
    warm_up: NonNegativeInt = 3
    """Steps of a visit that are not recorded."""
    steps: PositiveInt = 5
    """Recorded steps of a visit."""
