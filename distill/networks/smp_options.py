"""What smp's classes may be told, and what their encoders expect of pixels."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import timm
from torch import nn

from modelpack.errors import SettingsError, UnknownNameError
from modelpack.preprocess import IMAGENET, Normalisation, Triple

_OURS = (
    "self",
    "kwargs",
    "encoder_name",
    "encoder_weights",
    "in_channels",
    "classes",
    "activation",
    "aux_params",
)
"""Arguments of smp's classes that recipes set elsewhere or that would change what logits are."""

_ANY_SIZE: dict[str, dict[str, Any]] = {"swin": {"strict_img_size": False}, "vit": {"dynamic_img_size": True}}
"""timm models that take one image size unless told otherwise, by the beginning of their name."""

_DIGITS = 4
"""Decimals kept of a mean or deviation: 0.224 times 255 is 57.12, not 57.120000000000005."""
_HALF: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_DPN: tuple[Triple, Triple] = ((124 / 255, 117 / 255, 104 / 255), (1 / 4.2585, 1 / 4.2585, 1 / 4.2585))
_MEAN_STD_0_1 = {"inception": _HALF, "xception": _HALF, "timm-tf_efficientnet_lite": _HALF, "dpn": _DPN}
"""smp's own encoders whose weights were not trained with ImageNet's usual mean and deviation (0-1 scale)."""


def checked_options(
    name: str, model_class: type[nn.Module], architecture: str, encoder: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Keyword arguments for `model_class`. Raises SettingsError for one that is not the recipe's to set here,
    UnknownNameError for one that smp would silently drop (timm checks those of its encoders itself).
    """
    known = [key for key in inspect.signature(model_class).parameters if key not in _OURS]
    for key in options:
        if key in _OURS:
            raise SettingsError(
                f"network {name}: options.{key} is not for recipes to set. Available: {', '.join(known)}."
            )
        if key not in known and not encoder.startswith("tu-"):
            raise UnknownNameError(f"option of {name}", key, known)
    any_size: dict[str, Any] = {}
    if architecture == "dpt":
        any_size = _ANY_SIZE["vit"]
    elif encoder.startswith("tu-"):
        family = next((family for family in _ANY_SIZE if encoder.startswith(f"tu-{family}")), None)
        any_size = _ANY_SIZE[family] if family else {}
    return {**any_size, **options}


def normalisation_of(encoder: str) -> Normalisation:
    """What the encoder's public weights were trained with; the same whether they are used or not."""
    if encoder.startswith("tu-"):
        config = timm.get_pretrained_cfg(encoder.removeprefix("tu-"), allow_unregistered=True)
        return IMAGENET if config is None else _from_0_1(config.mean, config.std)
    for family, (mean, std) in _MEAN_STD_0_1.items():
        if encoder.startswith(family):
            return _from_0_1(mean, std)
    return IMAGENET


def _from_0_1(mean: Sequence[float], std: Sequence[float]) -> Normalisation:
    return Normalisation(mean=_times_255(mean), std=_times_255(std))


def _times_255(values: Sequence[float]) -> Triple:
    red, green, blue = (round(255 * value, _DIGITS) for value in values)
    return red, green, blue
