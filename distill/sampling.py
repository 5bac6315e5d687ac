"""Which images an optimiser step sees, and with which seeds."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np
from numpy.typing import NDArray

from distill.seeds import mix, sample_seed
from modelpack.errors import SettingsError


@dataclass(frozen=True)
class Draw:
    """One sample of one step."""

    index: int
    seed: int


class Sampling:
    """Epochs are permutations from (seed, epoch), laid end to end and cut into batches.

    Raises SettingsError for a batch that the processes cannot share equally.
    """

    def __init__(self, size: int, batch: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        if batch % world_size:
            raise SettingsError(
                f"optim.batch = {batch} cannot be shared equally by {world_size} processes; "
                f"make it a multiple of {world_size}."
            )
        self._size, self._batch, self._seed = size, batch, seed
        share = batch // world_size
        self._mine = range(rank * share, (rank + 1) * share)

    def step(self, number: int) -> list[Draw]:
        """Draws of this rank for optimiser step `number`."""
        return [self._draw(number * self._batch + place) for place in self._mine]

    def steps(self, start: int, stop: int | None = None) -> Iterator[list[Draw]]:
        numbers = count(start) if stop is None else range(start, stop)
        return map(self.step, numbers)

    def _draw(self, position: int) -> Draw:
        epoch, place = divmod(position, self._size)
        index = int(_permutation(self._size, self._seed, epoch)[place])
        return Draw(index, sample_seed(self._seed, epoch, index))


@lru_cache(maxsize=4)
def _permutation(size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng(mix("order", seed, epoch)).permutation(size)
