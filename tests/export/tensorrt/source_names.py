"""Every name of TensorRT that our source uses, by what each expression in it is declared to be."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULE = ""
"""Class of the module itself."""

DECLARED: dict[str, dict[str, str]] = {
    "export/precision/tensorrt_network.py": {
        "convolution": "IConvolutionLayer", "layer": "ILayer", "tensor": "ITensor",
    },
    "export/tensorrt/builder_config.py": {
        "builder": "Builder", "builder_config": "IBuilderConfig", "image": "ITensor",
        "optimization_profile": "IOptimizationProfile",
    },
    "export/tensorrt/network.py": {
        "builder": "Builder", "network": "INetworkDefinition", "parser": "OnnxParser", "tensor": "ITensor",
        "flags": "NetworkDefinitionCreationFlag",
    },
    "export/tensorrt/plan.py": {"builder": "Builder"},
    "export/tensorrt/progress.py": {"builder_config": "IBuilderConfig"},
    "export/tensorrt/refusal.py": {"parser": "OnnxParser", "parser_error": "ParserError"},
    "export/tensorrt/timing_cache.py": {"builder_config": "IBuilderConfig", "timing_cache": "ITimingCache"},
    "modelpack/tensorrt/engine.py": {
        "self._cuda_engine": "ICudaEngine", "cuda_engine": "ICudaEngine", "context": "IExecutionContext",
        "inspector": "EngineInspector", "runtime": "Runtime", "validity": "EngineValidity",
        "diagnostics": "EngineInvalidityDiagnostics",
    },
    "modelpack/tensorrt/lane.py": {"context": "IExecutionContext"},
    "modelpack/tensorrt/messages.py": {},
    "modelpack/tensorrt/runtime_cache.py": {
        "cuda_engine": "ICudaEngine", "runtime_config": "IRuntimeConfig", "runtime_cache": "IRuntimeCache",
    },
}  # fmt: skip
"""File -> expression -> class, for every file that touches an object of TensorRT."""
MODULES = ("trt", "flavour.trt", "self.flavour.trt", "parsed.flavour.trt")
"""Expressions that are the module, in every file."""
RESULTS = {
    ("ILayer", "get_input"): "ITensor",
    ("ILayer", "get_output"): "ITensor",
    ("ILayer", "type"): "LayerType",
    ("ITensor", "dtype"): "DataType",
    ("INetworkDefinition", "get_layer"): "ILayer",
    ("ICudaEngine", "get_tensor_dtype"): "DataType",
    ("OnnxParser", "get_error"): "ParserError",
    ("ParserError", "code"): "ErrorCode",
}
"""(class, member) -> class of its value, or of what it returns."""

Use = tuple[str, str]
"""(class, member)."""


def used_names(source: str, declared: Mapping[str, str]) -> set[Use]:
    """Attributes that are read, set or called on the module and on what `declared` knows the class of."""
    return set(_uses(ast.parse(source), declared))


def _uses(tree: ast.Module, declared: Mapping[str, str]) -> Iterator[Use]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not node.attr.startswith("__"):
            if (owner := _class_of(node.value, declared)) is not None:
                yield owner, node.attr
        elif isinstance(node, ast.ClassDef):
            for base in node.bases:
                if isinstance(base, ast.Attribute) and _class_of(base.value, declared) == MODULE:
                    yield from ((base.attr, method) for method in _overridden(node))


def _overridden(node: ast.ClassDef) -> Iterator[str]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and not item.name.startswith("__"):
            yield item.name


def _class_of(node: ast.expr, declared: Mapping[str, str]) -> str | None:
    text = ast.unparse(node)
    if text in MODULES:
        return MODULE
    if text in declared:
        return declared[text]
    if isinstance(node, ast.Call):
        return _class_of(node.func, declared) if isinstance(node.func, ast.Attribute) else None
    if isinstance(node, ast.Attribute) and (owner := _class_of(node.value, declared)) is not None:
        return node.attr if owner == MODULE else RESULTS.get((owner, node.attr))
    return None
