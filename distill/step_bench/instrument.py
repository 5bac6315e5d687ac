"""Put a training step's parts on a timeline, from outside: hooks on modules, and around the loss functions.

The code that trains knows nothing of it, and computes the same values.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from types import ModuleType
from typing import Any

from torch import nn

import distill.step
from distill.methods.student_path import StudentPath
from distill.step import TrainStep
from distill.step_bench.edges import with_edge
from distill.step_bench.timeline import Timeline

STUDENT, TEACHER, ALIGN, GENERATOR = "student", "teacher", "align", "generator"
_LOSSES = "distill.losses."


def backward_of(part: str) -> str:
    """The part that differentiates `part`."""
    return f"{part}, backward"


@contextmanager
def instrumented(step: TrainStep, timeline: Timeline) -> Iterator[None]:
    """Student, teacher, every method, its way to the teacher's features, and every loss function it calls.

    `align` is that way without the generator: alignment, resizing, mask. What a method does beside those is
    the part with its own name. The student's backward pass lasts until someone leaves it: nothing comes after
    it in the graph.
    """
    with ExitStack() as stack:
        stack.enter_context(_timed_module(step.student, _Part(timeline, STUDENT, is_leaf=True)))
        if step.teacher is not None:
            stack.enter_context(_timed_module(step.teacher, _Part(timeline, TEACHER)))
        stack.enter_context(_timed_losses(distill.step, "", timeline))
        for name, method in step.methods.items():
            stack.enter_context(_timed_module(method, _Part(timeline, name)))
            for path in (module for module in method.modules() if isinstance(module, StudentPath)):
                stack.enter_context(_timed_module(path, _Part(timeline, f"{name}: {ALIGN}")))
                stack.enter_context(_timed_module(path.generator, _Part(timeline, f"{name}: {GENERATOR}")))
            module = sys.modules[type(method).__module__]
            stack.enter_context(_timed_losses(module, f"{name}: ", timeline))
        yield


@contextmanager
def replaced(module: ModuleType, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """`module.name` is `function` meanwhile, for everyone who looks it up there."""
    original = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, original)


class _Part:
    """One part, forward and, where its inputs receive gradients, backward."""

    def __init__(self, timeline: Timeline, name: str, *, is_leaf: bool = False) -> None:
        """is_leaf: gradients end within the part, in its parameters."""
        self._timeline, self._name, self._is_leaf = timeline, name, is_leaf
        self._goes_back = is_leaf

    def begin(self, inputs: Any) -> Any:
        self._timeline.enter(self._name)
        inputs, receives = with_edge(inputs, lambda: self._timeline.leave(backward_of(self._name)))
        self._goes_back = receives or self._is_leaf
        return inputs

    def end(self, result: Any) -> Any:
        if self._goes_back:
            result, _ = with_edge(result, lambda: self._timeline.enter(backward_of(self._name)))
        self._timeline.leave(self._name)
        return result


@contextmanager
def _timed_module(module: nn.Module, part: _Part) -> Iterator[None]:
    before = module.register_forward_pre_hook(
        lambda _, args, kwargs: part.begin((args, kwargs)), with_kwargs=True
    )
    after = module.register_forward_hook(lambda _, __, result: part.end(result))
    try:
        yield
    finally:
        before.remove()
        after.remove()


@contextmanager
def _timed_losses(module: ModuleType, prefix: str, timeline: Timeline) -> Iterator[None]:
    """Every function of `distill/losses` that `module` imports by name."""
    with ExitStack() as stack:
        for name, function in list(vars(module).items()):
            if inspect.isfunction(function) and function.__module__.startswith(_LOSSES):
                timed = _timed_function(function, _Part(timeline, f"{prefix}{name}"))
                stack.enter_context(replaced(module, name, timed))
        yield


def _timed_function(function: Callable[..., Any], part: _Part) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = part.begin((args, kwargs))
        return part.end(function(*args, **kwargs))

    return call
