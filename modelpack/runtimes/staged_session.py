"""Calls of an ONNX Runtime session whose images and outputs pass through memory that is kept."""

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from modelpack.runtimes.gathered import Gathered
from modelpack.runtimes.host_buffer import HostBuffer, HostMemory

MOST_SHAPES = 64
"""Shapes of images whose outputs are remembered; the one not used for longest goes."""

Shape = tuple[int, ...]
OutputForms = list[tuple[np.dtype[Any], Shape]]


class StagedSession:
    """One call at a time. Its memory grows to the largest batch that it saw.

    ONNX Runtime is given the addresses (IO binding), and on CUDA copies between them and the device; from
    page-locked memory it does so without a copy in between.
    """

    def __init__(self, session: Any, memory: HostMemory) -> None:
        self._session = session
        self._input_name: str = session.get_inputs()[0].name
        self._output_names: list[str] = [spec.name for spec in session.get_outputs()]
        self._images = HostBuffer(memory)
        self._outputs = [HostBuffer(memory) for _ in self._output_names]
        self._known: OrderedDict[Shape, OutputForms] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, images: Gathered) -> list[NDArray[Any]]:
        """All outputs in the graph's order, the caller's own. Raises what the session raises."""
        with self._lock:
            source = self._images.view(images.dtype, images.shape)
            images.copy_into(source)
            binding = self._session.io_binding()
            binding.bind_ortvalue_input(self._input_name, ort.OrtValue.ortvalue_from_numpy(source))
            forms = self._known.get(images.shape)
            if forms is None:
                return self._first_run(binding, images.shape)
            self._known.move_to_end(images.shape)
            views = [buffer.view(*form) for buffer, form in zip(self._outputs, forms, strict=True)]
            for name, view in zip(self._output_names, views, strict=True):
                binding.bind_output(name, "cpu", 0, view.dtype.type, view.shape, view.ctypes.data)
            self._run(binding)
            return [view.copy() for view in views]

    def close(self) -> None:
        with self._lock:
            for buffer in (self._images, *self._outputs):
                buffer.free()
            self._session = None

    def _first_run(self, binding: Any, shape: Shape) -> list[NDArray[Any]]:
        """Of a shape: only running the graph tells those of its outputs."""
        for name in self._output_names:
            binding.bind_output(name, "cpu")
        self._run(binding)
        outputs: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
        self._known[shape] = [(output.dtype, output.shape) for output in outputs]
        if len(self._known) > MOST_SHAPES:
            self._known.popitem(last=False)
        return outputs

    def _run(self, binding: Any) -> None:
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
