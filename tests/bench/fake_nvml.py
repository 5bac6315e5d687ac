"""NVML with one GPU whose state the test sets; the names and units are those of `pynvml`."""

from types import SimpleNamespace


class FakeNvml:
    class NVMLError(Exception):
        pass

    def __init__(self, *, clock_mhz=1980, reasons=0, joules=0.0, memory=None, missing=()):
        self.clock_mhz, self.reasons, self.joules, self.memory = clock_mhz, reasons, joules, memory or {}
        self.missing, self.opened = set(missing), None

    def nvmlInit(self):
        self._may("nvmlInit")

    def nvmlDeviceGetHandleByIndex(self, index):
        self.opened = index
        return "gpu"

    def nvmlDeviceGetHandleByUUID(self, uuid):
        self.opened = uuid
        return "gpu"

    def nvmlDeviceGetClockInfo(self, handle, kind):
        self._may("nvmlDeviceGetClockInfo", handle)
        return {1: self.clock_mhz, 2: 2619}[kind]

    def nvmlDeviceGetTemperature(self, handle, sensor):
        self._may("nvmlDeviceGetTemperature", handle)
        return {0: 61}[sensor]

    def nvmlDeviceGetPowerUsage(self, handle):
        self._may("nvmlDeviceGetPowerUsage", handle)
        return 412_500

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        self._may("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        return self.reasons

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        self._may("nvmlDeviceGetTotalEnergyConsumption", handle)
        return int(self.joules * 1000)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        self._may("nvmlDeviceGetComputeRunningProcesses", handle)
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in self.memory.items()]

    def _may(self, name, handle="gpu"):
        assert handle == "gpu"
        if name in self.missing:
            raise self.NVMLError("Not Supported")
