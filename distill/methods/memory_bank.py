"""Rings of embeddings, one for each class, that outlive the batch they came from.

Source: Yang et al., CIRKD, CVPR 2022, and the authors' code.
"""

import torch
from torch import Tensor, nn

from distill.losses.unit_vectors import unit_vectors
from modelpack.errors import ShapeError


class MemoryBank(nn.Module):
    """`size` unit vectors for each class. Both buffers are saved with the run.

    What was never written is noise: a class that the data lacks keeps it, and it takes part in the contrast.
    """

    vectors: Tensor
    """(classes, size, channels) float32."""
    pointers: Tensor
    """(classes,) int64: the slot that is written next."""

    def __init__(self, num_classes: int, size: int, channels: int) -> None:
        """Draws the noise, Gaussian and of length 1, from torch's global generator."""
        super().__init__()
        self.register_buffer("vectors", unit_vectors(torch.randn(num_classes, size, channels), dim=2))
        self.register_buffer("pointers", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def push(self, vectors: Tensor, counts: Tensor) -> None:
        """Write, image by image and class by class, as the published ring does.

        Vectors that would reach the end of the ring go to its last slots, and the pointer to its start.

        vectors: (images, classes, at most, channels); counts: (images, classes) integers, how many of them
        are meant. Raises ShapeError for more than the ring holds.
        """
        size = self.vectors.shape[1]
        if vectors.shape[2] > size:
            raise ShapeError(
                f"{vectors.shape[2]} embeddings at once do not fit into a memory of {size} for each class. "
                "Enlarge the memory, or push fewer."
            )
        vectors = vectors.to(self.vectors.dtype)
        pointers = self.pointers.tolist()
        for image, of_image in enumerate(counts.tolist()):
            for index, count in enumerate(of_image):
                reaches_end = pointers[index] + count >= size
                first = size - count if reaches_end else pointers[index]
                if count > 0:
                    self.vectors[index, first : first + count] = vectors[image, index, :count]
                    pointers[index] = 0 if reaches_end else first + count
        self.pointers.copy_(torch.tensor(pointers))

    def take(self, slots: Tensor) -> Tensor:
        """The same slots of every class, class by class: (classes * slots, channels)."""
        return self.vectors[:, slots].flatten(0, 1)
