"""How large the absolute values of a tensor are, over many forward passes, in constant memory."""

import torch
from torch import Tensor

BINS = 4096


class Histogram:
    """Counts of |x| in `BINS` bins of equal width from 0; the width doubles when a value does not fit."""

    def __init__(self) -> None:
        self.counts = torch.zeros(BINS, dtype=torch.float64)
        self.width = 0.0
        """Of a bin; 0 as long as only zeros were seen."""
        self.largest = 0.0

    def add(self, values: Tensor) -> None:
        """values: any float dtype and shape, finite."""
        sizes = values.detach().float().abs()
        largest = float(sizes.max())
        self.largest = max(self.largest, largest)
        if self.width == 0.0:
            self.width = largest / BINS
        while self.width * BINS < largest:
            self.counts[: BINS // 2] = self.counts.view(-1, 2).sum(1)
            self.counts[BINS // 2 :] = 0
            self.width *= 2
        if self.width == 0.0:
            self.counts[0] += sizes.numel()
            return
        self.counts += torch.histc(sizes, BINS, 0, self.width * BINS).cpu()
