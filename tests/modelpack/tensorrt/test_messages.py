"""What TensorRT says is heard once, by those who listen."""

from modelpack.tensorrt import messages
from tests.modelpack.tensorrt.fake_device import FakeDevice
from tests.modelpack.tensorrt.fake_tensorrt import fake_flavour


def test_what_is_collected_is_said_once_and_is_no_news_to_the_log(caplog):
    with messages.collected() as heard:
        for severity, text in [("ERROR", "bad"), ("WARNING", "hm"), ("ERROR", "bad"), ("INFO", "x")]:
            messages.receive(severity, f" {text}\n")
    assert (heard.errors, heard.warnings) == (["bad"], ["hm"])
    assert caplog.text == ""


def test_what_nobody_collects_is_logged(caplog):
    messages.receive("ERROR", "bad")
    messages.receive("WARNING", "hm")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "bad"), ("WARNING", "hm"),
    ]  # fmt: skip


def test_the_echo_of_a_missing_driver_is_dropped(caplog):
    with messages.collected() as heard:
        messages.receive("INTERNAL_ERROR", "Error: In getCurrentCC (cudaError 35: driver)")
    assert heard.errors == []
    assert heard.first_error("nothing") == "nothing"


def test_one_logger_serves_the_whole_process():
    found = fake_flavour(FakeDevice())
    assert messages.shared_logger(found) is messages.shared_logger(found)
