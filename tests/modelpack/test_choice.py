"""Which artifact in which runtime, for machines that this one is not."""

from pathlib import Path

import pytest

from modelpack import runtimes
from modelpack.cpu import Cpu
from modelpack.errors import RuntimeUnavailableError, UnknownNameError, UsageError
from modelpack.labels import LabelSet, distinct_palette
from modelpack.manifest import TensorSpec
from modelpack.package import new_package
from modelpack.preprocess import Normalisation, Resizing
from modelpack.runtimes import choice, open_best
from modelpack.runtimes.choice import RULES, Choice, choose
from tests.tiny_package import write_tiny_package

VNNI = Cpu("Xeon", frozenset({"avx512_vnni"}))
PLAIN = Cpu("Old CPU", frozenset({"avx2"}))
HALF = Cpu("Graviton", frozenset({"asimdhp"}))


class _Fake:
    """A runtime that was opened."""

    def __init__(self, model_path, *, device, threads):
        self.opened = (Path(model_path).name, device, threads)


class Onnx(_Fake):
    artifact_kinds = frozenset({"onnx"})

    @classmethod
    def obstacle(cls, model_path, device):
        return None


class OnnxOnCpu(Onnx):
    @classmethod
    def obstacle(cls, model_path, device):
        return None if device == "cpu" else "there is no NVIDIA driver"


class BrokenCuda(Onnx):
    """Promises CUDA, and finds a library missing as it opens."""

    def __init__(self, model_path, *, device, threads):
        if device == "cuda":
            raise RuntimeUnavailableError("cuDNN is missing.")
        super().__init__(model_path, device=device, threads=threads)


class Plans(_Fake):
    artifact_kinds = frozenset({"tensorrt"})

    @classmethod
    def obstacle(cls, model_path, device):
        if device == "cpu":
            return "plans run on GPUs only"
        return "it was built by another version" if "other" in model_path.name else None


class Absent(Onnx):
    @classmethod
    def obstacle(cls, model_path, device):
        return "OpenVINO cannot be imported"


def table(onnxruntime=Onnx, openvino=Absent):
    classes = {"onnxruntime": onnxruntime, "openvino": openvino, "tensorrt": Plans}
    return {name: f"{__name__}:{kind.__name__}" for name, kind in classes.items()}


CPU_ONLY = table(OnnxOnCpu)
BOTH = table(openvino=OnnxOnCpu)


@pytest.fixture
def package_of(tmp_path, monkeypatch):
    """A package whose artifacts are `kind-precision`, with `!` for one that was never run."""

    def make(*names, cpu=VNNI):
        monkeypatch.setattr(choice, "read_cpu", lambda: cpu)
        with new_package(tmp_path / "package", replace=True) as package:
            for name in names:
                kind, precision = name.rstrip("!").split("-")[:2]
                (package.folder / f"{name}.bin").write_bytes(b"graph")
                kind = {"trt": "tensorrt"}.get(kind, kind)
                package.add_artifact(
                    name.rstrip("!"),
                    f"{name}.bin",
                    kind=kind,
                    precision=precision,
                    is_verified=not name.endswith("!"),
                )
            package.write_manifest(
                name="many",
                labels=LabelSet(names=("a",), palette=distinct_palette(1)),
                normalisation=Normalisation(),
                resizing=Resizing(),
                inputs=(TensorSpec(name="image", dtype="uint8", shape=("batch", "height", "width", 3)),),
                outputs=(TensorSpec(name="mask", dtype="uint8", shape=("batch", "height", "width")),),
            )
        return runtimes.ModelPackage.open(tmp_path / "package")

    return make


ALL = ("onnx-fp32", "onnx-fp16", "onnx-int8", "trt-fp16", "trt-int8!")


@pytest.mark.parametrize(
    ("names", "cpu", "entries", "device", "expected"),
    [
        (ALL, VNNI, table(), "auto", ("trt-fp16", "tensorrt", "cuda")),
        (ALL, VNNI, BOTH, "cpu", ("onnx-int8", "openvino", "cpu")),
        (ALL, VNNI, table(), "cpu", ("onnx-fp32", "onnxruntime", "cpu")),
        (ALL, PLAIN, BOTH, "cpu", ("onnx-fp32", "onnxruntime", "cpu")),
        (ALL, PLAIN, table(), "cpu", ("onnx-fp32", "onnxruntime", "cpu")),
        (ALL, HALF, table(), "cpu", ("onnx-fp32", "onnxruntime", "cpu")),
        (ALL, VNNI, CPU_ONLY, "auto", ("trt-fp16", "tensorrt", "cuda")),
        (("onnx-fp32", "onnx-fp16"), VNNI, table(), "auto", ("onnx-fp16", "onnxruntime", "cuda")),
        (("onnx-fp32", "onnx-int8"), VNNI, table(), "auto", ("onnx-fp32", "onnxruntime", "cuda")),
        (("onnx-fp32", "onnx-fp16"), VNNI, CPU_ONLY, "auto", ("onnx-fp32", "onnxruntime", "cpu")),
        (("onnx-fp32", "onnx-int8!"), VNNI, CPU_ONLY, "auto", ("onnx-fp32", "onnxruntime", "cpu")),
        (("onnx-fp32", "trt-fp16-other"), VNNI, table(), "auto", ("onnx-fp32", "onnxruntime", "cuda")),
        (("onnx-fp16",), HALF, CPU_ONLY, "auto", ("onnx-fp16", "onnxruntime", "cpu")),
        (("onnx-int8",), VNNI, CPU_ONLY, "auto", ("onnx-int8", "onnxruntime", "cpu")),
    ],
    ids=[
        "a plan on a GPU", "int8 with VNNI and OpenVINO", "fp32 without OpenVINO", "fp32 without VNNI",
        "fp32 without both", "fp32 before fp16", "the driver's word",
        "fp16 on a GPU without a plan", "no int8 graph on a GPU", "no fp16 on a CPU without it",
        "nothing unverified", "no plan of another version", "fp16 where it is all there is",
        "int8 where it is all there is",
    ],
)  # fmt: skip
def test_the_best_is(package_of, names, cpu, entries, device, expected):
    found = choose(package_of(*names, cpu=cpu), entries, device=device)
    assert (found.artifact, found.runtime, found.device) == expected


def test_the_reason_names_the_rule_and_what_was_passed_over(package_of):
    found = choose(package_of("onnx-fp32", "onnx-int8!", "onnx-fp16"), CPU_ONLY)
    assert str(found) == (
        "onnx-fp32 in onnxruntime on cpu: every CPU computes in fp32 "
        "(not onnx-fp16, onnx-fp32 in onnxruntime on cuda: there is no NVIDIA driver; "
        "not onnx-int8 on cpu: it could not be run where it was built "
        "(artifact=NAME runs it all the same))"
    )


def test_an_artifact_that_is_named_runs_verified_or_not_and_slow_or_not(package_of):
    package = package_of("onnx-fp32", "onnx-int8!", cpu=PLAIN)
    found = choose(package, BOTH, artifact="onnx-int8", device="cpu")
    assert found == Choice("onnx-int8", "openvino", "cpu", "it was named")


def test_a_runtime_that_is_named_is_the_only_one_asked(package_of):
    package = package_of("onnx-fp32", "onnx-int8")
    assert choose(package, table(openvino=OnnxOnCpu), runtime="openvino").runtime == "openvino"
    with pytest.raises(RuntimeUnavailableError, match="OpenVINO cannot be imported"):
        choose(package, table(), runtime="openvino")


def test_an_int8_graph_runs_on_a_gpu_when_it_is_named(package_of):
    package = package_of("onnx-fp32", "onnx-int8")
    assert choose(package, table(), artifact="onnx-int8", device="cuda").device == "cuda"


def test_two_names_that_do_not_go_together_are_wrong_use(package_of):
    with pytest.raises(UsageError, match="runtime onnxruntime opens onnx, and artifact trt-fp16 is tensorrt"):
        choose(package_of("trt-fp16"), table(), artifact="trt-fp16", runtime="onnxruntime")


@pytest.mark.parametrize("wrong", [{"artifact": "onnx-fp23"}, {"runtime": "onnxruntim"}])
def test_a_name_that_is_nowhere_gets_the_nearest(package_of, wrong):
    with pytest.raises(UnknownNameError, match="Did you mean"):
        choose(package_of("onnx-fp32"), table(), **wrong)


def test_what_cannot_run_at_all_says_why_for_each(package_of):
    with pytest.raises(RuntimeUnavailableError) as refusal:
        choose(package_of("trt-fp16!", "onnx-fp16", cpu=PLAIN), CPU_ONLY)
    sentence = str(refusal.value)
    assert "trt-fp16 on cuda: it could not be run where it was built" in sentence
    assert "onnx-fp16 on cpu: Old CPU does not compute in fp16, so it would be slow" in sentence
    assert sentence.endswith("Name one with artifact=NAME.")


def test_a_gpu_that_fails_as_it_is_opened_leaves_the_next_best(package_of, monkeypatch, caplog):
    monkeypatch.setattr(runtimes, "RUNTIMES", table(BrokenCuda))
    with caplog.at_level("INFO"):
        found, opened = open_best(package_of("onnx-fp32", "onnx-fp16"), threads=3)
    assert opened.opened == ("onnx-fp32.bin", "cpu", 3)
    assert "onnx-fp16, onnx-fp32 in onnxruntime on cuda: cuDNN is missing" in found.reason
    assert str(found) in caplog.text


def test_a_gpu_that_was_asked_for_is_not_replaced_by_the_cpu(package_of, monkeypatch):
    monkeypatch.setattr(runtimes, "RUNTIMES", table(BrokenCuda))
    with pytest.raises(RuntimeUnavailableError, match=r"cuDNN is missing\. Use device=cpu"):
        open_best(package_of("onnx-fp32"), device="cuda")


def test_every_rule_names_runtimes_of_the_table():
    assert {name for rule in RULES for name in rule.runtimes} <= set(runtimes.RUNTIMES)


def test_what_is_chosen_here_opens_and_answers(tmp_path):
    found, opened = open_best(write_tiny_package(tmp_path / "tiny"), device="cpu", threads=1)
    assert (found.artifact, found.device) == ("onnx-fp32", "cpu")
    assert opened.name == found.runtime
    opened.close()
