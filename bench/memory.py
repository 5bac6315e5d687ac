"""Peak memory of the own process."""

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory_bytes() -> int:
    """Largest resident set of this process since it started.

    Linux: VmHWM, because `ru_maxrss` of a new process begins there with the peak of the one that started it.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil  # noqa: PLC0415  (only needed there)

        return int(psutil.Process().memory_info().peak_wset)
    import resource  # noqa: PLC0415  (POSIX only)

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
