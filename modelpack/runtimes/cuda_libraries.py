"""Find CUDA for a runtime that brings none: the driver, and the libraries in torch's wheels."""

import ctypes
import importlib.util
import logging
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

LIBRARIES = (
    "libcudart.so.*",
    "libnvrtc-builtins.so.*",
    "libnvrtc.so.*",
    "libcublasLt.so.*",
    "libcublas.so.*",
    "libcurand.so.*",
    "libnvJitLink.so.*",
    "libcufft.so.*",
    "libcudnn.so.*",
)
"""What the CUDA provider needs, each after what it needs itself. cuDNN finds its own parts."""


@cache
def missing_device() -> str | None:
    """Why no CUDA device can be used here, or None. Asks the driver alone: no CUDA library is loaded."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1 is not found)"
    if (status := driver.cuInit(0)) != 0:
        return f"the NVIDIA driver does not start (cuInit gave error {status}; see nvidia-smi)"
    count = ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    return None if count.value else "the NVIDIA driver sees no device (see CUDA_VISIBLE_DEVICES)"


@cache
def preload_wheel_libraries() -> tuple[str, ...]:
    """Load the libraries of installed `nvidia-*` wheels for a provider to find; gives the names loaded.

    Those wheels come with torch, which need not be imported. A library that is already loaded stays as it is;
    where no wheel is installed the system's own search path decides.
    """
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    loaded = []
    for pattern in LIBRARIES:
        for file in sorted(found for folder in folders for found in folder.glob(f"*/lib/{pattern}")):
            try:
                ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
            except OSError as error:
                log.debug("%s does not load: %s", file.name, error)
            else:
                loaded.append(file.name)
    return tuple(loaded)
