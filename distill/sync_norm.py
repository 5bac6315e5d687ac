"""Batch norm over all processes: torch's SyncBatchNorm on CUDA, one of our own where it refuses (the CPU)."""

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from modelpack.tables import resolve


class AllReduceBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose training statistics cover the batches of all processes.

    Equal to one process on the joined batch, gradient included; shards may differ in size. Statistics are
    float32.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        maps = input.float()
        count = torch.tensor([maps.numel() / maps.shape[1]], device=maps.device)
        totals: Tensor = all_reduce(torch.cat([maps.sum((0, 2, 3)), count]))  # type: ignore[no-untyped-call]  # untyped in torch
        total_count = totals[-1].detach()
        mean = totals[:-1] / total_count
        centred = maps - mean.view(1, -1, 1, 1)
        squares: Tensor = all_reduce(centred.square().sum((0, 2, 3)))  # type: ignore[no-untyped-call]  # untyped in torch
        variance = squares / total_count
        self._follow(mean.detach(), variance.detach(), total_count)
        normed = centred * torch.rsqrt(variance + self.eps).view(1, -1, 1, 1)
        if self.weight is not None:
            normed = normed * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return normed.to(input.dtype)

    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics; like torch, with the unbiased variance."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / (count - 1), momentum)


class AllReduceBatchNormAct(AllReduceBatchNorm):
    """The same for timm's batch norm with an activation (and perhaps dropout) of its own."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        activated: Tensor = self.act(self.drop(super().forward(input)))
        return activated


def synchronise_norms(module: nn.Module, device_type: str) -> nn.Module:
    """Replace every batch norm in `module`, keeping parameter names, weights and statistics."""
    if device_type == "cuda":
        # Not torch's own conversion: it would lose the activations inside timm's norms.
        converted: nn.Module = resolve("timm.layers:convert_sync_batchnorm")(module)
        return converted
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _all_reduce_copy(child))
        else:
            synchronise_norms(child, device_type)
    return module


def _all_reduce_copy(norm: nn.BatchNorm2d) -> AllReduceBatchNorm:
    """Shares parameters, statistics and inner modules with `norm`."""
    kind = AllReduceBatchNormAct if hasattr(norm, "act") else AllReduceBatchNorm
    copy = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    copy.weight, copy.bias = norm.weight, norm.bias
    copy.running_mean, copy.running_var = norm.running_mean, norm.running_var
    copy.num_batches_tracked = norm.num_batches_tracked
    for name, inner in norm.named_children():
        copy.add_module(name, inner)
    return copy.train(norm.training)
