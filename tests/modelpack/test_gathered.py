"""Arrays that runtimes put together themselves, in memory that they keep."""

import ctypes

import numpy as np
import onnxruntime
import pytest

from modelpack.errors import ShapeError
from modelpack.runtimes import cuda_libraries, open_runtime
from modelpack.runtimes.gathered import Gathered
from modelpack.runtimes.host_buffer import HostBuffer, PlainMemory
from modelpack.runtimes.page_locked import PageLockedMemory, page_locked_memory
from modelpack.runtimes.runtime import GatheringRuntime
from modelpack.runtimes.staged_session import MOST_SHAPES, StagedSession
from tests.tiny_package import tiny_answer, tiny_confidence, write_tiny_package

HAS_CUDA = cuda_libraries.missing_device() is None


def images(n=2, height=48, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def dynamic_package(tmp_path_factory):
    return write_tiny_package(tmp_path_factory.mktemp("gathered") / "p", size=None, confidence=True)


@pytest.fixture
def runtime(dynamic_package):
    runtime = open_runtime(dynamic_package, runtime="onnxruntime", device="cpu", threads=1)
    yield runtime
    runtime.close()


def assert_answers(outputs, *parts):
    batch = np.concatenate(parts)
    assert np.array_equal(outputs["mask"], tiny_answer(batch))
    assert np.array_equal(outputs["confidence"], tiny_confidence(batch))


def test_gathered_arrays_are_answered_as_one_batch_also_the_second_time(runtime):
    assert isinstance(runtime, GatheringRuntime)
    for seed in (0, 10):
        parts = images(2, seed=seed), images(1, seed=seed + 1), images(3, seed=seed + 2)[:, ::-1]
        assert_answers(runtime.run_gathered(parts), *parts)


def test_outputs_are_the_callers_own(runtime):
    runtime.run_gathered([images(seed=0)])
    second = runtime.run_gathered([images(seed=1)])
    runtime.run_gathered([images(seed=2)])
    assert_answers(second, images(seed=1))


def test_shapes_may_change_from_call_to_call(runtime):
    for seed, (n, height, width) in enumerate(
        [(1, 8, 16), (8, 40, 48), (2, 24, 32), (1, 8, 16), (8, 40, 48)]
    ):
        parts = images(n, height, width, seed), images(1, height, width, seed + 100)
        assert_answers(runtime.run_gathered(parts), *parts)


def test_more_shapes_than_are_remembered_are_answered(runtime):
    for number in [*range(MOST_SHAPES + 2), 0]:
        batch = images(1, 4, 4 + number, number)
        assert_answers(runtime.run_gathered([batch]), batch)


@pytest.mark.parametrize(
    "parts",
    [
        [images(), images(height=40)],
        [images(), images().astype(np.float32)],
        [images().astype(np.float32)],
        [images()[0]],
    ],
    ids=["sizes", "types", "dtype", "rank"],
)
def test_what_is_no_batch_is_refused(runtime, parts):
    with pytest.raises(ShapeError):
        runtime.run_gathered(parts)


@pytest.mark.parametrize(("start", "size"), [(0, 6), (0, 2), (1, 2), (2, 4), (3, 1), (5, 1)])
def test_a_part_of_gathered_arrays_is_that_part_of_the_batch(start, size):
    arrays = [images(2, seed=1), images(1, seed=2), images(3, seed=3)]
    part = Gathered(arrays).part(start, size)
    copied = np.empty(part.shape, part.dtype)
    part.copy_into(copied)
    assert np.array_equal(copied, np.concatenate(arrays)[start : start + size])


class Counted(PlainMemory):
    """Counts what was given out and not yet given back."""

    def __init__(self):
        self.held = []

    def allocate(self, size_bytes):
        self.held.append(super().allocate(size_bytes))
        return self.held[-1]

    def free(self, host):
        self.held = [block for block in self.held if block is not host]


def test_a_session_allocates_for_its_largest_batch_and_gives_all_back(dynamic_package):
    memory = Counted()
    session = StagedSession(onnxruntime.InferenceSession(dynamic_package.artifact_path()), memory)
    for n in (1, 4, 4, 2, 4, 2):
        session.run(Gathered([images(n)]))
    held = sorted(block.nbytes for block in memory.held)
    assert held == [4 * 48 * 64, 4 * 48 * 64, 4 * 48 * 64 * 3]
    before = [block.ctypes.data for block in memory.held]
    session.run(Gathered([images(3)]))
    session.run(Gathered([images(3)]))
    assert [block.ctypes.data for block in memory.held] == before
    session.close()
    assert memory.held == []


class FakeDriver:
    """libcuda as far as it is called: memory comes from this process, and contexts are counted."""

    def __init__(self, *, status=0, memory_status=0):
        self.status, self.memory_status = status, memory_status
        self.blocks = {}
        self.contexts = 0

    def cuInit(self, flags):
        return self.status

    def cuDeviceGet(self, device, ordinal):
        return 0

    def cuDevicePrimaryCtxRetain(self, context, device):
        return 0

    def cuCtxPushCurrent_v2(self, context):
        self.contexts += 1
        return 0

    def cuCtxPopCurrent_v2(self, context):
        self.contexts -= 1
        return 0

    def cuMemHostAlloc(self, address, size_bytes, flags):
        assert self.contexts == 1
        if self.memory_status == 0:
            block = ctypes.create_string_buffer(size_bytes.value)
            address._obj.value = ctypes.addressof(block)
            self.blocks[ctypes.addressof(block)] = block
        return self.memory_status

    def cuMemFreeHost(self, address):
        assert self.contexts == 1
        del self.blocks[address.value]
        return 0


def test_page_locked_memory_is_taken_and_given_back_in_the_devices_context():
    driver = FakeDriver()
    buffer = HostBuffer(PageLockedMemory(driver))
    view = buffer.view(np.dtype(np.uint16), (4, 5))
    view[:] = 7
    assert view.ctypes.data in driver.blocks
    buffer.view(np.dtype(np.uint16), (40, 5))
    assert len(driver.blocks) == 1
    buffer.free()
    assert (driver.blocks, driver.contexts) == ({}, 0)


def test_where_no_memory_can_be_locked_plain_memory_is_used(caplog):
    memory = PageLockedMemory(FakeDriver(memory_status=2))
    host = memory.allocate(100)
    host[:] = 1
    memory.free(host)
    assert "100 bytes are not page-locked: the CUDA driver gave error 2" in caplog.text


def test_a_driver_without_a_device_is_an_error():
    with pytest.raises(OSError, match="gave error 100"):
        PageLockedMemory(FakeDriver(status=100))


@pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device")
def test_without_a_driver_memory_is_plain_and_the_log_says_so(caplog):
    assert isinstance(page_locked_memory(), PlainMemory)
    assert "memory is not page-locked" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="no CUDA device")
def test_cuda_answers_gathered_arrays_from_page_locked_memory(dynamic_package):
    assert isinstance(page_locked_memory(), PageLockedMemory)
    runtime = open_runtime(dynamic_package, runtime="onnxruntime", device="cuda")
    for seed in range(4):
        parts = images(2, seed=seed), images(1, seed=seed + 10)
        assert_answers(runtime.run_gathered(parts), *parts)
    runtime.close()
