"""The target `onnx-int8`."""

from export.config import ExportConfig
from export.int8_settings import Int8Settings
from export.precision.artifact import KEPT
from export.targets.onnx_int8 import ONNX_INT8
from export.targets.target import BuildContext
from tests.export.int8.graphs import IMAGES, product_on, two_factor_products


def test_what_stays_float_on_purpose_is_declared(mixed_graph, tmp_path):
    kept = product_on(mixed_graph, "head")
    config = ExportConfig(run_dir=tmp_path, package_dir=tmp_path / "package")
    context = BuildContext(mixed_graph, config, IMAGES, keep_float32=frozenset({kept}))
    details = ONNX_INT8.build(context, tmp_path / "model.onnx")
    expected = {kept, *(node.name for node in two_factor_products(mixed_graph))}
    assert set(details[KEPT]) == expected
    assert details["quantisation"] == Int8Settings().model_dump()


def test_images_are_looked_at_once_for_all_builds_of_one_context(tiny_graph, tmp_path):
    class Counted(list):
        seen = 0

        def __getitem__(self, place):
            Counted.seen += 1
            return super().__getitem__(place)

    config = ExportConfig(run_dir=tmp_path, package_dir=tmp_path / "package")
    context = BuildContext(tiny_graph, config, Counted(IMAGES))
    for _ in range(2):
        ONNX_INT8.build(context, tmp_path / "model.onnx")
    assert Counted.seen == len(IMAGES)
