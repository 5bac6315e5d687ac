"""The negatives of PCD: one unit vector for each of the last images, in a ring."""

import torch
from torch import Tensor, nn

from distill.losses.unit_vectors import unit_vectors
from modelpack.errors import ShapeError


class RingQueue(nn.Module):
    """Begins as noise of length 1, as published. Its buffers are saved with the run.

    vectors: (D, size). place: (1,) int64, the column that is written next. Any number of keys fits: the ring
    wraps in the middle of a batch, where the published code asks for a size that the batch divides.
    """

    vectors: Tensor
    place: Tensor

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.register_buffer("vectors", unit_vectors(torch.randn(channels, size), dim=0))
        self.register_buffer("place", torch.zeros(1, dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Write `keys` (N, D) over the oldest columns. Call after the backward pass, which reads the columns.

        Raises ShapeError for more keys than columns.
        """
        channels, size = self.vectors.shape
        if keys.ndim != 2 or keys.shape[1] != channels or len(keys) > size:
            raise ShapeError(
                f"the queue holds {size} vectors of {channels} numbers, got keys {tuple(keys.shape)}. Use a "
                "longer queue or a smaller batch."
            )
        places = (self.place + torch.arange(len(keys), device=self.place.device)) % size
        self.vectors[:, places] = keys.T.to(self.vectors.dtype)
        self.place.copy_((self.place + len(keys)) % size)
