"""Make any network compute with int8 values: norms folded, convolutions and linear layers replaced."""

import logging
from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from distill.networks.output import SegNetwork
from distill.quantisation.dataflow import Dataflow, trace
from distill.quantisation.fold_norms import fold_norms, replace_module
from distill.quantisation.layers import ActivationQuantiser, QuantisedConv2d, QuantisedLinear
from distill.quantisation.settings import QuantisationConfig
from distill.weights import some
from modelpack.errors import SettingsError

log = logging.getLogger(__name__)


def quantise_network(network: SegNetwork, settings: QuantisationConfig) -> SegNetwork:
    """The same network, changed in place: same parameter names, but for norms, which are folded.

    Everything that evaluation mode computes with is covered; what only training uses (auxiliary heads) stays
    float. New is `network.quantisers`, the scales of inputs, of which layers that read one tensor share one.
    They mean nothing before `calibrate` or a checkpoint sets them. Raises SettingsError for a name in `skip`
    that fits no layer.
    """
    flow = trace(network)
    fold_norms(network, flow.norms)
    layers = _chosen(flow, settings)
    modules = dict(network.named_modules())
    quantisers: dict[str, ActivationQuantiser] = {}
    for name in layers:
        owner = flow.readers[name].replace(".", "/")  # a module's name may hold no dot
        quantiser = quantisers.setdefault(owner, ActivationQuantiser(learns=settings.learn_scales))
        layer, per_channel = modules[name], settings.weights == "per_channel"
        if isinstance(layer, nn.Conv2d):
            replace_module(network, name, QuantisedConv2d.of(layer, quantiser, per_channel=per_channel))
        elif isinstance(layer, nn.Linear):
            replace_module(network, name, QuantisedLinear.of(layer, quantiser, per_channel=per_channel))
    network.quantisers = nn.ModuleDict(quantisers)
    _tell(network, flow, layers)
    return network


def _chosen(flow: Dataflow, settings: QuantisationConfig) -> list[str]:
    known = list(flow.readers)
    for pattern in settings.skip:
        if not any(fnmatchcase(name, pattern) for name in known):
            near = get_close_matches(pattern, known, n=4, cutoff=0.3) or known
            raise SettingsError(
                f"student.quantisation.skip: {pattern!r} is the name of no layer that would be quantised. "
                f"Nearest of {len(known)}: {some(near)}."
            )
    edges = {*(known[:1] if settings.skip_first else ()), *(known[-1:] if settings.skip_last else ())}
    chosen = [name for name in known if name not in edges and not _fits(name, settings.skip)]
    if not chosen:
        raise SettingsError("student.quantisation leaves every layer in float; skip fewer of them.")
    return chosen


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _tell(network: SegNetwork, flow: Dataflow, layers: list[str]) -> None:
    weighted = [
        name for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    left = [name for name in weighted if name not in layers]
    log.debug("fake quantisation of %d layers, %d norms folded", len(layers), len(flow.norms))
    if left:
        log.info("left in float: %d of %d layers (%s)", len(left), len(weighted), some(left))
