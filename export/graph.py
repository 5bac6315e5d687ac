"""The graph that is deployed: pixels in, classes out, nothing left for a consumer to get wrong."""

import torch
from torch import Tensor, nn

from distill.networks.output import SegNetwork, normalise
from export.equivalents import in_fast_form
from modelpack.manifest import TensorSpec

IMAGE = "image"
MASK = "mask"
CONFIDENCE = "confidence"
LOGITS = "logits"


class DeployedGraph(nn.Module):
    """Normalisation, network, upsampling and argmax in one module.

    `image` is uint8 (N, H, W, 3) RGB. `mask` is uint8 (N, H, W). `confidence`, uint8 (N, H, W), is the
    softmax probability of the chosen class in 255ths, rounded. `logits` is float32 (N, num_classes, H, W).
    The cast to float comes first and the casts to uint8 last, where TensorRT takes them. The network is
    copied, with modules in the form that runtimes run fastest.
    """

    def __init__(self, network: SegNetwork, *, confidence: bool = False, logits: bool = False) -> None:
        super().__init__()
        self.network = in_fast_form(network)
        self.output_names = (MASK, *([CONFIDENCE] if confidence else []), *([LOGITS] if logits else []))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        images = normalise(image.float(), self.network.normalisation)
        output = self.network(images)
        height, width = image.shape[1], image.shape[2]
        padded = output.full_logits(output.padded_size)
        logits = padded[..., :height, :width]
        outputs = {
            MASK: _class_of_the_largest(padded)[:, :height, :width].to(torch.uint8),
            LOGITS: logits,
        }
        if CONFIDENCE in self.output_names:
            outputs[CONFIDENCE] = _probability_of_the_largest(logits).mul(255).round().to(torch.uint8)
        return tuple(outputs[name] for name in self.output_names)


def tensor_specs(
    output_names: tuple[str, ...], num_classes: int, size: tuple[int, int] | None
) -> tuple[TensorSpec, tuple[TensorSpec, ...]]:
    """The graph's input and outputs as a manifest names them; size None stands for any height and width."""
    height, width = size or ("height", "width")
    pixels = ("batch", height, width)
    outputs = {
        MASK: TensorSpec(name=MASK, dtype="uint8", shape=pixels),
        CONFIDENCE: TensorSpec(name=CONFIDENCE, dtype="uint8", shape=pixels),
        LOGITS: TensorSpec(name=LOGITS, dtype="float32", shape=("batch", num_classes, height, width)),
    }
    return (
        TensorSpec(name=IMAGE, dtype="uint8", shape=(*pixels, 3)),
        tuple(outputs[name] for name in output_names),
    )


def _class_of_the_largest(logits: Tensor) -> Tensor:
    """(N, C, H, W) to int64 (N, H, W), over flattened planes.

    Resizing leaves the channels last in memory, where OpenVINO's search for the largest takes longer than
    half of the network; a reshape brings the planes back first. Other runtimes do not mind.
    """
    return logits.flatten(2).argmax(1).view(logits.shape[0], *logits.shape[2:])


def _probability_of_the_largest(logits: Tensor) -> Tensor:
    """The largest softmax over classes, without the other probabilities: (N, C, H, W) to (N, H, W)."""
    return (logits - logits.amax(1, keepdim=True)).exp().sum(1).reciprocal()
