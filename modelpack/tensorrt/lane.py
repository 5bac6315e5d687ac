"""One call's way through the device: a stream, buffers and contexts that no other call uses meanwhile."""

import logging
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import SegError
from modelpack.runtimes.gathered import Gathered
from modelpack.runtimes.runtime import StageTimes
from modelpack.tensorrt.device import Device, DeviceError
from modelpack.tensorrt.engine import Engine, Profile, Shape, TensorInfo
from modelpack.tensorrt.graph_choice import GraphChoice, Way
from modelpack.tensorrt.messages import collected
from modelpack.tensorrt.staging import Staging

log = logging.getLogger(__name__)

MOST_SHAPES = 32
"""Shapes that a lane remembers, each with at most one captured graph; the one not used for longest goes."""
_STAGES = 3
"""Copy in, compute, copy out."""

Key = tuple[int, Shape]
"""(profile, shape of the images)."""


@dataclass
class _Known:
    """What a lane knows of one shape."""

    output_shapes: dict[str, Shape]
    choice: GraphChoice = field(default_factory=GraphChoice)
    graph: Hashable | None = None


class Lane:
    """Used by one thread at a time. Its memory grows to the largest images that it saw."""

    def __init__(self, engine: Engine, device: Device) -> None:
        self._engine, self._device = engine, device
        (self._input,) = engine.inputs
        self._stream = device.new_stream()
        self._events: list[Hashable] = []
        self._contexts: dict[int, Any] = {}
        self._staging = {tensor.name: Staging(device) for tensor in engine.tensors}
        self._known: dict[Key, _Known] = {}
        self._bound: dict[int, Shape] = {}
        """Profile -> the shape that its context is set to, with the addresses of now."""

    def run(
        self, images: Gathered, profile: Profile, *, is_timed: bool = False
    ) -> tuple[dict[str, NDArray[Any]], StageTimes | None]:
        """Outputs by name, and where the time went if that was asked for.

        Raises SegError where TensorRT fails, DeviceError where the device does.
        """
        try:
            return self._run(images, profile, is_timed)
        except SegError:
            with suppress(DeviceError):
                self._device.wait(self._stream)  # nothing may still write to the buffers of the next call
            raise

    def ways(self) -> dict[Shape, str]:
        """For every shape that was decided: `direct` or `graph`. May be asked while the lane is in use."""
        ways = {shape: known.choice.decided for (_, shape), known in list(self._known.items())}
        return {shape: way for shape, way in ways.items() if way is not None}

    def close(self) -> None:
        self._device.wait(self._stream)
        self._drop_graphs()
        self._contexts.clear()
        for staging in self._staging.values():
            staging.free()
        for event in self._events:
            self._device.free_event(event)
        self._device.free_stream(self._stream)

    def _run(
        self, images: Gathered, profile: Profile, is_timed: bool
    ) -> tuple[dict[str, NDArray[Any]], StageTimes | None]:
        called = time.perf_counter()
        known = self._prepare(profile, images.shape)
        source = self._staging[self._input.name]
        images.copy_into(source.view(self._input.dtype, images.shape))
        way = self._choose_way(profile, images.shape, known)
        events = self._new_events() if is_timed else []
        begun = time.perf_counter()
        self._enqueue(profile, images.shape, known, way, events)
        enqueued = time.perf_counter()
        self._device.wait(self._stream)
        known.choice.add(way, time.perf_counter() - begun)
        answers = {
            tensor.name: self._staging[tensor.name]
            .view(tensor.dtype, known.output_shapes[tensor.name])
            .copy()
            for tensor in self._engine.outputs
        }
        if not events:
            return answers, None
        stages = [self._device.elapsed_ms(events[stage], events[stage + 1]) for stage in range(_STAGES)]
        return answers, StageTimes(
            enqueue_ms=(enqueued - begun) * 1e3,
            h2d_ms=stages[0],
            compute_ms=stages[1],
            d2h_ms=stages[2],
            host_ms=(time.perf_counter() - called) * 1e3,
        )

    def _choose_way(self, profile: Profile, shape: Shape, known: _Known) -> Way:
        """How this call is launched; what that needs is ready then."""
        way = known.choice.next()
        if way == "graph" and known.graph is None and not self._capture(profile, shape, known):
            way = "direct"
        if way == "direct":
            self._bind(profile, shape)
        return way

    def _enqueue(
        self, profile: Profile, shape: Shape, known: _Known, way: Way, events: list[Hashable]
    ) -> None:
        """Put copy in, compute and copy out on the stream, with the events between them."""
        device, stream = self._device, self._stream
        source = self._staging[self._input.name]
        self._record(events, 0)
        device.copy_in(source.address, source.bytes(_size_bytes(self._input, shape)), stream)
        self._record(events, 1)
        if way == "graph" and known.graph is not None:
            device.launch(known.graph, stream)
        else:
            self._execute(self._contexts[profile.index], shape)
        self._record(events, 2)
        for tensor in self._engine.outputs:
            staging = self._staging[tensor.name]
            host = staging.bytes(_size_bytes(tensor, known.output_shapes[tensor.name]))
            device.copy_out(host, staging.address, stream)
        self._record(events, 3)

    def _prepare(self, profile: Profile, shape: Shape) -> _Known:
        """What is known of the shape, with buffers that are large enough for it."""
        key = (profile.index, shape)
        known = self._known.pop(key, None)
        if known is None:
            known = _Known(self._output_shapes(profile, shape))
            while len(self._known) >= MOST_SHAPES:
                self._free_graph(self._known.pop(next(iter(self._known))))
        self._known[key] = known
        shapes = {**known.output_shapes, self._input.name: shape}
        moved = [
            self._staging[tensor.name].reserve(_size_bytes(tensor, shapes[tensor.name]))
            for tensor in self._engine.tensors
        ]
        if any(moved):
            self._bound.clear()
            self._drop_graphs()  # they hold the old addresses
        return known

    def _output_shapes(self, profile: Profile, shape: Shape) -> dict[str, Shape]:
        context = self._context(profile)
        self._bound.pop(profile.index, None)
        self._set_shape(context, shape)
        shapes = {
            tensor.name: tuple(context.get_tensor_shape(tensor.name)) for tensor in self._engine.outputs
        }
        if open_ended := [name for name, sizes in shapes.items() if min(sizes) < 0]:
            raise SegError(f"outputs {', '.join(open_ended)} have sizes that only running the plan can tell.")
        return shapes

    def _context(self, profile: Profile) -> Any:
        if profile.index not in self._contexts:
            self._contexts[profile.index] = self._engine.new_context(profile, self._stream)
        return self._contexts[profile.index]

    def _set_shape(self, context: Any, shape: Shape) -> None:
        with collected() as messages:
            if not context.set_input_shape(self._input.name, shape) or context.infer_shapes():
                raise SegError(
                    f"{self._engine.flavour.title} does not take images of shape {shape}: "
                    f"{messages.first_error('it does not say why')}"
                )

    def _bind(self, profile: Profile, shape: Shape) -> None:
        """Set the context to the shape and to the buffers."""
        if self._bound.get(profile.index) == shape:
            return
        context = self._context(profile)
        self._set_shape(context, shape)
        for name, staging in self._staging.items():
            context.set_tensor_address(name, staging.address)
        self._bound[profile.index] = shape

    def _execute(self, context: Any, shape: Shape) -> None:
        with collected() as messages:
            if not context.execute_async_v3(self._stream):
                raise SegError(
                    f"{self._engine.flavour.title} failed on images of shape {shape}: "
                    f"{messages.first_error('it does not say why')}"
                )

    def _capture(self, profile: Profile, shape: Shape, known: _Known) -> bool:
        """Try to note the graph for the shape; False where it must be launched kernel by kernel."""
        self._bind(profile, shape)
        context = self._contexts[profile.index]
        if self._engine.flavour.has("capture_question") and not context.is_stream_capturable(self._stream):
            known.choice.postpone()
            return False
        self._execute(context, shape)  # work that a new shape needs once must not be noted
        self._device.wait(self._stream)
        try:
            self._device.begin_capture(self._stream)
            try:
                self._execute(context, shape)
            finally:
                known.graph = self._device.end_capture(self._stream)
        except SegError as error:
            log.info("no CUDA graph for images of shape %s: %s", shape, error)
            self._free_graph(known)
            known.choice.give_up()
        return known.graph is not None

    def _drop_graphs(self) -> None:
        for known in self._known.values():
            self._free_graph(known)

    def _free_graph(self, known: _Known) -> None:
        if known.graph is not None:
            self._device.free_graph(known.graph)
            known.graph = None

    def _new_events(self) -> list[Hashable]:
        if not self._events:
            self._events = [self._device.new_event() for _ in range(_STAGES + 1)]
        return self._events

    def _record(self, events: list[Hashable], place: int) -> None:
        if events:
            self._device.record(events[place], self._stream)


def _size_bytes(tensor: TensorInfo, shape: Shape) -> int:
    return tensor.dtype.itemsize * int(np.prod(shape))
