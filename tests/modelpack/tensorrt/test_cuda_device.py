"""The device's own calls, as far as a machine without one can make them."""

import numpy as np
import pytest

from modelpack.errors import RuntimeUnavailableError
from modelpack.runtimes import cuda_libraries
from modelpack.tensorrt import cuda_device
from modelpack.tensorrt.cuda_device import CudaDevice, open_device
from modelpack.tensorrt.device import Device, DeviceError

HAS_CUDA = cuda_libraries.missing_device() is None
HOST = np.arange(8, dtype=np.uint8)
CALLS = [
    ("allocate", (8,)),
    ("free", (0,)),
    ("allocate_pinned", (8,)),
    ("free_pinned", (HOST,)),
    ("new_stream", ()),
    ("free_stream", (1,)),
    ("wait", (1,)),
    ("copy_in", (0, HOST, 1)),
    ("copy_out", (HOST, 0, 1)),
    ("begin_capture", (1,)),
    ("end_capture", (1,)),
    ("launch", (1, 1)),
    ("free_graph", (1,)),
    ("new_event", ()),
    ("free_event", (1,)),
    ("record", (1, 1)),
    ("elapsed_ms", (1, 2)),
]


@pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device")
@pytest.mark.parametrize(("call", "arguments"), CALLS)
def test_every_call_reaches_cuda_with_arguments_that_it_takes(call, arguments):
    device = CudaDevice.__new__(CudaDevice)
    with pytest.raises(DeviceError, match=r"failed on cuda:0: CUDA driver version is insufficient"):
        getattr(device, call)(*arguments)


def test_every_call_of_a_device_is_among_them():
    assert {call for call, _ in CALLS} == {name for name in vars(Device) if not name.startswith("_")}


def test_without_cuda_bindings_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cuda_device, "missing_device", lambda: None)
    monkeypatch.setattr(cuda_device, "cudart", None)
    with pytest.raises(RuntimeUnavailableError, match="pip install cuda-bindings"):
        open_device()


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="no CUDA device")
def test_bytes_go_to_the_device_and_come_back_also_through_a_graph():
    device = open_device()
    stream, address = device.new_stream(), device.allocate(HOST.nbytes)
    there, back = device.allocate_pinned(HOST.nbytes), device.allocate_pinned(HOST.nbytes)
    there[:], back[:] = HOST, 0
    begin, end = device.new_event(), device.new_event()
    device.record(begin, stream)
    device.copy_in(address, there, stream)
    device.copy_out(back, address, stream)
    device.record(end, stream)
    device.wait(stream)
    assert np.array_equal(back, HOST)
    assert device.elapsed_ms(begin, end) > 0
    device.begin_capture(stream)
    device.copy_in(address, there, stream)
    device.copy_out(back, address, stream)
    graph = device.end_capture(stream)
    there[:] = HOST[::-1]
    device.launch(graph, stream)
    device.wait(stream)
    assert np.array_equal(back, HOST[::-1])
    device.free_graph(graph)
    for event in (begin, end):
        device.free_event(event)
    for host in (there, back):
        device.free_pinned(host)
    device.free(address)
    device.free_stream(stream)
