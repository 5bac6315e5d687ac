"""Which TensorRT is installed, and how to get one."""

import pytest

from modelpack.errors import RuntimeUnavailableError, SettingsError
from modelpack.tensorrt import flavour
from tests.modelpack.tensorrt.fake_device import FakeDevice
from tests.modelpack.tensorrt.fake_tensorrt import fake_flavour


@pytest.fixture(autouse=True)
def _nothing_is_remembered():
    flavour._imported.cache_clear()
    yield
    flavour._imported.cache_clear()


@pytest.fixture
def importable(monkeypatch):
    """Module name -> version, or the error of its import."""

    def set_it(**modules):
        def fake_import(name):
            found = modules.get(name, ImportError(f"No module named '{name}'"))
            if isinstance(found, Exception):
                raise found
            return type("module", (), {"__version__": found})

        monkeypatch.setattr(flavour, "import_module", fake_import)

    return set_it


def test_tensorrt_goes_before_rtx(importable):
    importable(tensorrt="10.13.3.9", tensorrt_rtx="1.7.1.116")
    assert flavour.find_flavour().title == "TensorRT 10.13.3.9"
    assert flavour.find_flavour("rtx").title == "TensorRT-RTX 1.7.1.116"


def test_a_tensorrt_without_its_libraries_leaves_rtx(importable):
    importable(tensorrt=OSError("libnvinfer.so.10: cannot open"), tensorrt_rtx="1.7.1.116")
    assert flavour.find_flavour().name == "rtx"


def test_where_none_can_be_imported_the_message_says_how_to_get_each(importable):
    importable(tensorrt=OSError("libnvinfer.so.10: cannot open"))
    with pytest.raises(RuntimeUnavailableError) as missing:
        flavour.find_flavour()
    text = str(missing.value)
    assert "tensorrt: libnvinfer.so.10: cannot open; tensorrt_rtx: No module named" in text
    assert "pip install 'afdcd[rtx]'" in text
    assert "pip install 'afdcd[tensorrt]'" in text
    assert "JetPack brings it" in text


def test_what_is_too_old_is_not_taken(importable):
    importable(tensorrt="8.4.1.5")
    with pytest.raises(RuntimeUnavailableError, match=r"version 8\.4\.1\.5 is installed, needed is 8\.5"):
        flavour.find_flavour("tensorrt")


def test_versions_that_nobody_looked_at_are_taken_with_a_warning(importable, caplog):
    importable(tensorrt="10.3.0.26")
    assert flavour.find_flavour().release == (10, 3)
    assert "TensorRT 10.3.0.26" in caplog.text


def test_a_setting_for_what_a_flavour_lacks_is_refused():
    with pytest.raises(SettingsError) as refusal:
        fake_flavour(FakeDevice(), "rtx").require("timing_cache", "export.tensorrt.timing_cache")
    assert str(refusal.value) == (
        "export.tensorrt.timing_cache asks for a timing cache, "
        "which TensorRT-RTX 1.7.1.116 does not have. Unset it."
    )
