"""Files `network_*`: outputs of a published network, its weights generated from its parameters' names."""

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from distill.networks import build_network
from distill.networks.output import SegOutput
from distill.networks.published import PublishedNetwork
from distill.replay.comparison import Comparison
from distill.replay.golden import Golden, GoldenError

HEADS = {"head.aspp": "deeplabv3", "head.psp": "pspnet"}
"""First letters of the head's parameter names -> first half of the network's name."""

OUTPUTS = {
    2: ("logits", "head"),
    3: ("logits", "stage4", "head"),
    4: ("logits", "aux", "stage4", "head"),
}
"""By how many the file holds, what they are."""


def replay_network(golden: Golden) -> Comparison:
    """Names and shapes of all parameters, then every output, in evaluation mode.

    Raises GoldenError, naming them, for parameters that we lack or have too many.
    """
    shapes = golden.meta["parameters"]
    network = build_network(_name(golden), golden.meta["num_classes"])
    ours = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    if ours != shapes:
        wrong = sorted(name for name in shapes.keys() | ours.keys() if shapes.get(name) != ours.get(name))
        raise GoldenError(
            f"parameters differ from ours in name or shape: {', '.join(wrong[:5])} ({len(wrong)} in all)."
        )
    network.to(golden.device, golden.dtype).eval()
    network.load_state_dict({name: named_weight(name, shape) for name, shape in shapes.items()})
    assert isinstance(network, PublishedNetwork)
    network.aux_in_eval = True
    with torch.no_grad():
        output = network(golden.input("input"))
    return _compare(golden, output)


def named_weight(name: str, shape: list[int]) -> Tensor:
    """The float64 value that a parameter of this name has in golden files."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return torch.from_numpy(rng.uniform(0.5, 1.5, shape))
    if name.endswith("running_mean"):
        return torch.from_numpy(0.1 * rng.standard_normal(shape))
    if len(shape) >= 2:
        return torch.from_numpy(rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])))
    if name.endswith("bias"):
        return torch.from_numpy(0.1 * rng.standard_normal(shape))
    return torch.from_numpy(rng.uniform(0.5, 1.5, shape))


def _name(golden: Golden) -> str:
    for first_letters, head in HEADS.items():
        if any(name.startswith(first_letters) for name in golden.meta["parameters"]):
            return f"{head}_{golden.meta['backbone']}"
    raise GoldenError(f"no known head among the parameters. Known: {', '.join(HEADS)}.")


def _compare(golden: Golden, output: SegOutput) -> Comparison:
    stored = sorted(
        (name for name in golden.arrays if name.startswith("output_")), key=lambda name: int(name[7:])
    )
    if len(stored) not in OUTPUTS:
        raise GoldenError(f"{len(stored)} outputs on file; published networks have 2 to 4.")
    named: Mapping[str, Tensor | None] = {
        "logits": output.logits,
        "aux": output.aux_logits,
        "stage4": output.feature("stage4"),
        "head": output.feature("head"),
    }
    comparison = Comparison({"output": 1e-5 if golden.dtype == torch.float64 else 1e-4})
    for array, name in zip(stored, OUTPUTS[len(stored)], strict=True):
        ours = named[name]
        if ours is None:
            raise GoldenError(f"{array} is the auxiliary head's, which our network does not have.")
        comparison.add("output", name, ours, golden.arrays[array])
    return comparison
