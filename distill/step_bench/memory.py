"""Peak memory of a stretch of work: of the device's tensors, or of the whole process on a CPU."""

import ctypes
from contextlib import suppress
from pathlib import Path

import torch

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"


class PeakMemory:
    """From its making on. CUDA: bytes of tensors. Linux on a CPU: resident set; elsewhere it is not known."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.start_bytes: int | None = torch.cuda.memory_allocated(device)
        else:
            _give_back_freed_memory()
            self.start_bytes = _resident_peak() if _forget_resident_peak() else None

    def bytes(self) -> int | None:
        """Largest at any moment since then."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return None if self.start_bytes is None else _resident_peak()

    def extra_bytes(self) -> int | None:
        """How much larger that is than at the start."""
        peak = self.bytes()
        return None if peak is None or self.start_bytes is None else peak - self.start_bytes


def _give_back_freed_memory() -> None:
    """What malloc keeps of freed memory belongs to whoever worked before."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _forget_resident_peak() -> bool:
    """Whether the kernel could be told to: the peak is then the present size."""
    try:
        _FORGET.write_text(_FORGET_PEAK)
    except OSError:
        return False
    return True


def _resident_peak() -> int | None:
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
