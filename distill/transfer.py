"""From host to device and back without making the host wait for what the device is doing."""

from collections.abc import Mapping

import torch
from torch import Tensor


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """The same values on `device`. A copy to CUDA starts from pinned memory: from any other, it waits."""
    if device.type == "cuda" and not host.is_pinned():
        host = host.pin_memory()
    return host.to(device, non_blocking=True)


class LateValues:
    """Single numbers of a device, asked for at one step and read at a later one, when they are there."""

    def __init__(self) -> None:
        self._asked: tuple[int, list[str], Tensor, torch.cuda.Event | None] | None = None

    def ask(self, step: int, values: Mapping[str, Tensor]) -> None:
        """values: () each, on one device. What was asked for before and has not arrived is forgotten."""
        if not values:
            return
        copied = torch.stack(list(values.values())).to("cpu", non_blocking=True)
        event = None
        if next(iter(values.values())).is_cuda:
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # untyped in torch
            event.record()
        self._asked = step, list(values), copied, event

    def arrived(self, *, waits: bool = False) -> tuple[int, dict[str, float]] | None:
        """Step and numbers, once; None while there is nothing to read. CPU: at once."""
        if self._asked is None:
            return None
        step, names, copied, event = self._asked
        if event is not None and waits:
            event.synchronize()
        elif event is not None and not event.query():  # type: ignore[no-untyped-call]  # untyped in torch
            return None
        self._asked = None
        return step, dict(zip(names, copied.tolist(), strict=True))
