"""Settings of quantisation after training."""

from typing import Annotated

from pydantic import Field, field_validator

from distill.quantisation.calibrators import CALIBRATORS
from export.quantisable import OPERATOR_SETS
from modelpack.settings import StrictModel
from modelpack.tables import lookup


class Int8Settings(StrictModel):
    """How a float graph becomes one that computes in int8."""

    calibrator: str = "percentile"
    """A name of `CALIBRATORS`: how the range of a tensor follows from its values on real images."""
    percentile: Annotated[float, Field(gt=50, le=100)] = 99.99
    """Share of the values, in percent, that calibrator `percentile` leaves unclipped."""
    operators: str = "conv"
    """A name of `OPERATOR_SETS`: which operators read int8."""

    @field_validator("calibrator")
    @classmethod
    def _calibrator_of_the_table(cls, name: str) -> str:
        lookup(CALIBRATORS, "calibrator", name)
        return name

    @field_validator("operators")
    @classmethod
    def _operators_of_the_table(cls, name: str) -> str:
        lookup(OPERATOR_SETS, "operator set", name)
        return name
