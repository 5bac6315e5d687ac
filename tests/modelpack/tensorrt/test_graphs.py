"""CUDA graphs: captured for each shape, launched where they win, dropped when buffers move."""

import pytest

from modelpack.tensorrt import graph_choice, lane
from tests.modelpack.tensorrt.fake_tensorrt import fake_flavour
from tests.modelpack.tensorrt.images import assert_answers, images


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a call seems to take, by the way it is launched; both may be set."""
    seconds = {"direct": 2.0, "graph": 1.0}
    add = graph_choice.GraphChoice.add
    monkeypatch.setattr(graph_choice.GraphChoice, "add", lambda self, way, _: add(self, way, seconds[way]))
    return seconds


def repeat(runtime, times=3 * graph_choice.TRIALS, **shape):
    for seed in range(times):
        assert_answers(runtime.run(images(seed=seed, **shape)), images(seed=seed, **shape))


def test_a_graph_that_wins_is_launched_from_then_on(load, device, clock):
    runtime = load(threads=1)
    repeat(runtime)
    assert runtime.describe()["launches"] == {"2x24x32x3": "graph"}
    before = device.launches
    repeat(runtime, times=5)
    assert device.launches == before + 5


def test_a_graph_that_loses_is_never_launched_again(load, device, clock):
    clock["graph"] = 3.0
    runtime = load(threads=1)
    repeat(runtime)
    before = device.launches
    repeat(runtime, times=5)
    assert device.launches == before
    assert runtime.describe()["launches"] == {"2x24x32x3": "direct"}


def test_every_shape_has_its_own(load, device, clock):
    runtime = load(threads=1)
    for _ in range(2):
        repeat(runtime)
        repeat(runtime, n=1)
    assert len(device.graphs) == 2


def test_larger_images_move_the_buffers_and_graphs_are_captured_anew(load, clock):
    runtime = load(threads=1)
    repeat(runtime)
    repeat(runtime, n=8, height=32, width=40)
    repeat(runtime)


def test_no_more_graphs_are_kept_than_shapes_are_remembered(load, device, clock, monkeypatch):
    monkeypatch.setattr(lane, "MOST_SHAPES", 2)
    runtime = load(threads=1)
    for width in (16, 24, 32, 40):
        repeat(runtime, width=width)
    assert len(device.graphs) <= 2


def test_what_cannot_be_captured_is_launched_directly(load, device, clock):
    device.can_capture = False
    runtime = load(threads=1)
    repeat(runtime)
    assert runtime.describe()["launches"] == {"2x24x32x3": "direct"}


def test_a_context_that_still_compiles_is_asked_again(load, device, clock, monkeypatch):
    flavour = fake_flavour(device)
    monkeypatch.setattr(flavour.trt.IExecutionContext, "captures_after", 9)
    runtime = load(threads=1, flavour=flavour)
    repeat(runtime, times=9)
    assert device.launches == 0
    repeat(runtime)
    assert device.launches > 0


def test_a_context_that_never_gets_there_is_asked_no_more(load, device, clock, monkeypatch):
    flavour = fake_flavour(device)
    monkeypatch.setattr(flavour.trt.IExecutionContext, "captures_after", 1 << 30)
    runtime = load(threads=1, flavour=flavour)
    repeat(runtime, times=graph_choice.MOST_POSTPONED + 2)
    assert runtime.describe()["launches"] == {"2x24x32x3": "direct"}
