"""Which artifact of a package runs here, in which runtime, and why: one ordered table of rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from modelpack.cpu import read_cpu
from modelpack.errors import RuntimeUnavailableError, UsageError
from modelpack.manifest import Artifact
from modelpack.package import ModelPackage
from modelpack.runtimes.runtime import RuntimeClass
from modelpack.tables import lookup, resolve

Device = Literal["cpu", "cuda"]
Wanted = Literal["auto", "cpu", "cuda"]
Attempt = tuple[str, str, str]
"""(artifact, runtime, device)."""
_NOTHING: Mapping[Attempt, str] = MappingProxyType({})


@dataclass(frozen=True)
class Rule:
    """One way to run a package, with a verified artifact whose file can run on this machine."""

    device: Device
    kind: Literal["onnx", "tensorrt"]
    precision: Literal["fp32", "fp16", "bf16", "int8"]
    runtimes: tuple[str, ...]
    """The first that can is taken."""
    why: str


_PLAN = "a verified plan is the fastest on the GPU it was built for"
RULES = (
    Rule("cuda", "tensorrt", "int8", ("tensorrt",), _PLAN),
    Rule("cuda", "tensorrt", "fp16", ("tensorrt",), _PLAN),
    Rule("cuda", "tensorrt", "bf16", ("tensorrt",), _PLAN),
    Rule("cuda", "tensorrt", "fp32", ("tensorrt",), _PLAN),
    Rule("cuda", "onnx", "fp16", ("onnxruntime",), "GPUs compute faster in fp16 than in fp32"),
    Rule("cuda", "onnx", "fp32", ("onnxruntime",), "there is a GPU"),
    Rule("cpu", "onnx", "int8", ("openvino",), "this CPU computes in int8, and OpenVINO uses it throughout"),
    Rule("cpu", "onnx", "fp32", ("onnxruntime", "openvino"), "every CPU computes in fp32"),
    Rule("cpu", "onnx", "int8", ("onnxruntime",), "this CPU computes in int8"),
    Rule("cpu", "onnx", "fp16", ("onnxruntime", "openvino"), "this CPU computes in fp16"),
)
"""The first that fits decides. What is not here (int8 graphs on CUDA, `openvino-bf16`) runs when named.

On CPUs OpenVINO is about twice as fast at int8: ONNX Runtime has no int8 convolution with the float bias that
TensorRT's form of these graphs has, and computes those in fp32 between conversions. At fp32 neither is the
faster at every network, and ONNX Runtime is what the gate measures with.
"""
DEFAULT_RUNTIME = {"onnx": "onnxruntime", "tensorrt": "tensorrt"}
"""For an artifact that was named and that no rule is about."""
NAMED = "it was named"


@dataclass(frozen=True)
class Choice:
    """What to open, and why."""

    artifact: str
    runtime: str
    device: Wanted
    """`auto` only where artifact and runtime were both named: the runtime decides as it opens."""
    reason: str

    def __str__(self) -> str:
        return f"{self.artifact} in {self.runtime} on {self.device}: {self.reason}"


def choose(
    package: ModelPackage,
    table: Mapping[str, str],
    *,
    device: Wanted = "auto",
    artifact: str | None = None,
    runtime: str | None = None,
    failed: Mapping[Attempt, str] = _NOTHING,
) -> Choice:
    """The best that this machine can run, among what was named.

    `table` is `RUNTIMES`. An artifact that is named runs whether or not it was verified and whatever the CPU
    is good at; a runtime that is named is the only one that is asked. Loads no graph: `failed` says what was
    opened in vain, and why.

    Raises UnknownNameError for a name that is nowhere, UsageError for two names that do not go together,
    RuntimeUnavailableError saying what stands in the way of each artifact.
    """
    if artifact is not None:
        package.artifact(artifact)
    if runtime is not None:
        lookup(table, "runtime", runtime)
    if artifact is not None and runtime is not None:
        kind, opens = package.artifact(artifact).kind, _artifact_kinds(table, runtime)
        if kind not in opens:
            raise UsageError(
                f"runtime {runtime} opens {', '.join(sorted(opens))}, and artifact {artifact} is {kind}. "
                f"Use runtime={DEFAULT_RUNTIME[kind]}, or name another artifact."
            )
        return Choice(artifact, runtime, device, "both were named")
    search = _Search(package, table, artifact, runtime, failed)
    found = search.first(device)
    if found is not None:
        return found
    where = "nothing in it runs here" if device == "auto" else f"device {device} is not available"
    reasons = "; ".join(search.obstacles()) or f"no rule is about its artifacts on {device}"
    way_out = "Use device=cpu to run without it." if device == "cuda" else "Name one with artifact=NAME."
    raise RuntimeUnavailableError(f"package {package.path}: {where}: {reasons}. {way_out}")


def _artifact_kinds(table: Mapping[str, str], runtime: str) -> frozenset[str]:
    kinds: frozenset[str] = resolve(table[runtime]).artifact_kinds
    return kinds


@dataclass
class _Search:
    """One walk over the candidates, which remembers what stood in the way of the better ones."""

    package: ModelPackage
    table: Mapping[str, str]
    artifact: str | None
    runtime: str | None
    failed: Mapping[Attempt, str]
    _seen: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    """(where, why not) -> names of artifacts, each once, in the order of the rules."""

    def first(self, wanted: Wanted) -> Choice | None:
        for artifact, device, runtimes, why in self._candidates(wanted):
            if (reason := self._unfit(artifact, device)) is not None:
                self._note(artifact, f"on {device}", reason)
                continue
            for runtime in runtimes:
                reason = self._obstacle(artifact, device, runtime)
                if reason is None:
                    passed_over = f" (not {'; not '.join(self.obstacles())})" if self._seen else ""
                    return Choice(artifact.name, runtime, device, why + passed_over)
                self._note(artifact, f"in {runtime} on {device}", reason)
        return None

    def _note(self, artifact: Artifact, where: str, reason: str) -> None:
        self._seen.setdefault((where, reason), {})[artifact.name] = None

    def obstacles(self) -> list[str]:
        """Parts of a sentence: which artifacts, where, and why not."""
        return [f"{', '.join(names)} {where}: {reason}" for (where, reason), names in self._seen.items()]

    def _candidates(self, wanted: Wanted) -> Iterator[tuple[Artifact, Device, tuple[str, ...], str]]:
        """By the rules; then, for an artifact that was named, where no rule would put it."""
        named = (self.runtime,) if self.runtime is not None else None
        for rule in RULES:
            for artifact in self.package.manifest.artifacts:
                fits = (artifact.kind, artifact.precision) == (rule.kind, rule.precision)
                if fits and wanted in ("auto", rule.device) and self.artifact in (None, artifact.name):
                    why = rule.why if self.artifact is None else NAMED
                    yield artifact, rule.device, named or rule.runtimes, why
        if self.artifact is not None:
            artifact = self.package.artifact(self.artifact)
            devices: tuple[Device, ...] = ("cuda", "cpu") if wanted == "auto" else (wanted,)
            for device in devices:
                yield artifact, device, named or (DEFAULT_RUNTIME[artifact.kind],), NAMED

    def _unfit(self, artifact: Artifact, device: Device) -> str | None:
        """Why nobody should run it there who did not name it."""
        if self.artifact is not None:
            return None
        if not artifact.is_verified:
            return "it could not be run where it was built (artifact=NAME runs it all the same)"
        if device == "cpu" and not read_cpu().computes_in(artifact.precision):
            return f"{read_cpu().model} does not compute in {artifact.precision}, so it would be slow"
        return None

    def _obstacle(self, artifact: Artifact, device: Device, runtime: str) -> str | None:
        if (reason := self.failed.get((artifact.name, runtime, device))) is not None:
            return reason
        try:
            runtime_class: RuntimeClass = resolve(lookup(self.table, "runtime", runtime))
        except RuntimeUnavailableError as error:
            return str(error).rstrip(".")
        if artifact.kind not in runtime_class.artifact_kinds:
            return f"it opens {', '.join(sorted(runtime_class.artifact_kinds))}, not {artifact.kind}"
        return runtime_class.obstacle(self.package.path / artifact.path, device)
