"""What part of the feature maps the contrastive term looks at."""

import re
from typing import Any

from pydantic import PositiveInt, model_serializer, model_validator
from torch import Tensor
from torch.nn import functional as F

from modelpack.errors import ShapeError
from modelpack.settings import StrictModel

_POOL = re.compile(r"pool\((\d+)\)")


class Reduce(StrictModel):
    """Max-pool a map, then crop it (top left) to whole patches.

    Written `pool(4)`, or `crop` or `none` where nothing is pooled.

    The published code pools by 4, except on CamVid, where it keeps 44x44 of 45x45; here any size is cropped.
    """

    pool: PositiveInt = 1
    """Kernel and stride in pixels; an incomplete window at the end is dropped."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value in ("crop", "none"):
            return {"pool": 1}
        match = _POOL.fullmatch(value.replace(" ", ""))
        if match is None:
            raise ValueError(f"reduce is pool(K), crop or none, got {value!r}")
        return {"pool": int(match[1])}

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"pool({self.pool})" if self.pool > 1 else "crop"

    def __call__(self, maps: Tensor, patch: tuple[int, int]) -> Tensor:
        """(N, C, H, W) to (N, C, h, w), h and w being the largest multiples of the patch that fit.

        Raises ShapeError if not even one patch fits.
        """
        size = (maps.shape[2], maps.shape[3])
        kept = [side // self.pool // step * step for side, step in zip(size, patch, strict=True)]
        if 0 in kept:
            raise ShapeError(
                f"a {size[0]}x{size[1]} feature map, reduced by {self}, does not hold one patch of "
                f"{patch[0]}x{patch[1]}. Use a smaller patch, less pooling, larger images or a finer feature."
            )
        pooled = F.max_pool2d(maps, self.pool) if self.pool > 1 else maps
        return pooled[..., : kept[0], : kept[1]]
