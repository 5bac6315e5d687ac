"""Backbones of timm and torchvision as maps: their classifier and pooling cut off."""

from collections import OrderedDict
from pathlib import Path
from typing import Literal

import timm
import torch
import torchvision
from torch import Tensor, nn

from distill.networks.hub import download
from distill.networks.smp_options import normalisation_of
from distill.weights import State, load_into, read_state
from modelpack.errors import CheckpointError, SettingsError, UnknownNameError
from modelpack.preprocess import IMAGENET, Normalisation

_AFTER_THE_MAP = ("avgpool", "flatten", "classifier", "fc", "head", "heads")
"""Where torchvision's models leave the map."""


class TimmMap(nn.Module):
    """Normalised images (N, 3, H, W) to the last map (N, C, h, w); a ViT's tokens without its class token."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.model.forward_features(images)  # type: ignore[operator]  # timm is untyped
        if features.ndim == 3:
            return self._on_grid(features, images)
        is_last = getattr(self.model, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if is_last else features

    def _on_grid(self, tokens: Tensor, images: Tensor) -> Tensor:
        patches = tokens[:, getattr(self.model, "num_prefix_tokens", 0) :]
        sides: tuple[int, int] = self.model.patch_embed.patch_size  # type: ignore[union-attr, assignment]
        height, width = images.shape[2] // sides[0], images.shape[3] // sides[1]
        return patches.transpose(1, 2).reshape(len(images), -1, height, width)


def build_backbone(
    name: str, weights: Literal["imagenet"] | Path, prefix: str = ""
) -> tuple[nn.Module, Normalisation, State]:
    """The backbone of `timm:NAME` or `torchvision:NAME`, what its pixels go through, and its weights file.

    The last is empty for `imagenet`. Raises UnknownNameError for the name, CheckpointError for weights that
    cannot be had or do not fit.
    """
    library, _, model_name = name.partition(":")
    if library == "timm":
        return _of_timm(model_name, weights, prefix)
    if library == "torchvision":
        return _of_torchvision(model_name, weights, prefix)
    raise SettingsError(f"teacher.network {name!r} is neither timm:NAME nor torchvision:NAME.")


def _of_timm(
    name: str, weights: Literal["imagenet"] | Path, prefix: str
) -> tuple[nn.Module, Normalisation, State]:
    if not timm.is_model(name):
        raise UnknownNameError("timm model", name, timm.list_models(f"{name[:6]}*")[:20])
    with download(f"the ImageNet weights of timm:{name}"):
        model = timm.create_model(name, pretrained=weights == "imagenet", num_classes=0)
    state = {} if isinstance(weights, str) else _filled(model, weights, prefix)
    return TimmMap(model), normalisation_of(f"tu-{name}"), state


def _of_torchvision(
    name: str, weights: Literal["imagenet"] | Path, prefix: str
) -> tuple[nn.Module, Normalisation, State]:
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise UnknownNameError("torchvision model", name, known)
    try:
        model = torchvision.models.get_model(name, weights="DEFAULT" if weights == "imagenet" else None)
    except OSError as error:
        raise CheckpointError(
            f"the ImageNet weights of torchvision:{name} are not on this machine and cannot be downloaded "
            f"({error}). Get them elsewhere and give the file as teacher.weights."
        ) from error
    state = {} if isinstance(weights, str) else _filled(model, weights, prefix)
    children: OrderedDict[str, nn.Module] = OrderedDict()
    for child_name, child in model.named_children():
        if child_name in _AFTER_THE_MAP:
            break
        children[child_name] = child
    return nn.Sequential(children), IMAGENET, state


def _filled(model: nn.Module, file: Path, prefix: str) -> State:
    """Fill everything but the classifier, in place; gives all of the file's weights."""
    state = read_state(file)
    own = model.state_dict()
    classifier = {name for name in own if name.split(".")[0] in _AFTER_THE_MAP}
    backbone = {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix) and name.removeprefix(prefix) in own.keys() - classifier
    }
    load_into(model, {name: own[name] for name in classifier} | backbone, file)
    return state


def map_width(backbone: nn.Module, size: tuple[int, int], name: str) -> int:
    """Channels of what `backbone` gives for an image of `size`.

    Raises SettingsError for a model that gives no map, or cannot take the size.
    """
    try:
        with torch.no_grad():
            maps: Tensor = backbone.eval()(torch.zeros(1, 3, *size))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise SettingsError(f"{name} cannot take views of {size[0]}x{size[1]}: {reason}.") from error
    if not isinstance(maps, Tensor) or maps.ndim != 4:
        raise SettingsError(f"{name} gives no map of features. Try the same model as timm:NAME.")
    return maps.shape[1]
