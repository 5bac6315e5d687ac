"""The table of networks. A new one is a file beside this and a line below."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from distill.networks import published
from distill.networks.backbone_weights import Weights
from distill.networks.output import SegNetwork
from modelpack.preprocess import CAFFE_BGR, IMAGENET, Normalisation
from modelpack.tables import lookup, resolve

BuildNetwork = Callable[[str, int, Weights, Mapping[str, Any]], SegNetwork]
"""(name as in the recipe, number of classes, backbone weights, options) -> network."""


def _build_smp(name: str, num_classes: int, weights: Weights, options: Mapping[str, Any]) -> SegNetwork:
    """Imported when asked for: smp and timm take longer to import than torch."""
    build: BuildNetwork = resolve("distill.networks.smp:build")
    return build(name, num_classes, weights, options)


NETWORKS: dict[str, BuildNetwork] = {**dict.fromkeys(published.DESIGNS, published.build), "smp": _build_smp}

_NORMALISATIONS = {"imagenet": IMAGENET, "caffe_bgr": CAFFE_BGR}


def build_network(
    name: str,
    num_classes: int,
    *,
    weights: Weights = None,
    options: Mapping[str, Any] = MappingProxyType({}),
    normalisation: Literal["imagenet", "caffe_bgr"] | Normalisation | None = None,
) -> SegNetwork:
    """A network of `NETWORKS`, or `smp:ARCH/ENCODER`, on the CPU in training mode.

    Raises UnknownNameError for the name, SettingsError for options that do not fit, CheckpointError for
    weights that cannot be had.
    """
    network = lookup(NETWORKS, "network", name.partition(":")[0])(name, num_classes, weights, options)
    if isinstance(normalisation, str):
        network.normalisation = lookup(_NORMALISATIONS, "normalisation", normalisation)
    elif normalisation is not None:
        network.normalisation = normalisation
    return network
