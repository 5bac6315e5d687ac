"""Our source uses names that TensorRT has, in every version that it claims to work with.

`tests/data/tensorrt_names.json` holds the members of the classes used, as the bindings of each version have
them: class -> versions -> members. It tells of names; how they behave only running them can tell.
"""

import json
import re
from types import SimpleNamespace

import pytest
import tensorrt_rtx

from export.precision.tensorrt_network import COMPUTE_LAYERS, MOVES, TYPES, WEIGHTED_LAYERS
from export.tensorrt.builder_config import FLAGS_BY_PRECISION
from export.tensorrt.refusal import ADVICE
from modelpack.tensorrt.engine import NUMPY_TYPES, REASONS
from modelpack.tensorrt.features import FEATURES, LOOKED_AT
from tests.export.tensorrt.source_names import DECLARED, MODULE, ROOT, Use, used_names

TABLES = json.loads((ROOT / "tests/data/tensorrt_names.json").read_text(encoding="utf-8"))
RTX_VERSION = next(version for version, flavour in LOOKED_AT.items() if flavour == "rtx")
NAMED_BY_STRINGS = {
    "BuilderFlag": {flag for flags in FLAGS_BY_PRECISION.values() for flag in flags},
    "DataType": {*NUMPY_TYPES, *TYPES},
    "EngineInvalidityDiagnostics": set(REASONS),
    "ErrorCode": set(ADVICE),
    "HardwareCompatibilityLevel": {"AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"},
    "LayerType": {*COMPUTE_LAYERS, *WEIGHTED_LAYERS, *MOVES, "CAST", "DEQUANTIZE"},
}
"""Class -> members that the source spells as strings; some of them not every version has."""


def members(version: str, owner: str) -> frozenset[str]:
    """Of one class in one version; empty where that version has no such class."""
    groups = TABLES[owner].items()
    return frozenset(
        name
        for versions, names in groups
        if versions == "all" or version in versions.split()
        for name in names.split()
    )


def is_known(version: str, use: Use) -> bool:
    owner, member = use
    if owner == MODULE:
        return member in TABLES and bool(members(version, member))
    return owner in TABLES and member in members(version, owner)


def guarded_versions(use: Use) -> set[str] | None:
    """Versions in which a guarded name may be used; None for a name without a guard."""
    owner, member = use
    found = [
        set(feature.versions)
        for feature in FEATURES.values()
        if member in feature.names.get(owner, ()) or (owner == MODULE and member in feature.names)
    ]
    return set.union(*found) if found else None


def unknown_uses(source: str, declared: dict[str, str], version: str) -> set[Use]:
    """Names that the source uses in that version and that it does not have."""
    return {
        use
        for use in used_names(source, declared)
        if not is_known(version, use) and version in (guarded_versions(use) or set(LOOKED_AT))
    }


@pytest.mark.parametrize("version", LOOKED_AT)
@pytest.mark.parametrize("file", DECLARED)
def test_every_name_is_in_every_version_that_it_is_used_with(file, version):
    source = (ROOT / file).read_text(encoding="utf-8")
    assert unknown_uses(source, DECLARED[file], version) == set()


def test_every_declared_expression_is_in_its_file():
    for file, declared in DECLARED.items():
        source = (ROOT / file).read_text(encoding="utf-8")
        assert used_names(source, declared), file
        for expression in declared:
            assert re.search(rf"(?<![\w.]){re.escape(expression)}\.\w", source), (file, expression)


def test_no_other_file_touches_the_module():
    names_only = {"modelpack/tensorrt/features.py", "modelpack/tensorrt/flavour.py"}
    touching = {
        str(path.relative_to(ROOT))
        for package in ("modelpack", "export", "bench", "serve", "afdcd", "distill")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"\btrt\b|^\s*(from|import) tensorrt", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert touching <= DECLARED.keys() | names_only


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("version", LOOKED_AT)
def test_a_feature_is_found_exactly_in_the_versions_that_it_is_declared_for(version, name):
    feature = FEATURES[name]
    module = SimpleNamespace()
    for owner in feature.names:
        setattr(module, owner, SimpleNamespace(**dict.fromkeys(members(version, owner))))
    assert feature.is_in(module, LOOKED_AT[version]) == (version in feature.versions)


@pytest.mark.parametrize("owner", NAMED_BY_STRINGS)
def test_names_in_strings_are_names_of_some_version(owner):
    assert NAMED_BY_STRINGS[owner] <= set().union(*(members(version, owner) for version in LOOKED_AT))


@pytest.mark.parametrize(
    ("planted", "version", "use"),
    [
        ("builder.build_engin(network)", "10.13.3.9", ("Builder", "build_engin")),
        ("builder_config.int8_calibrator = None", "11.4.0.106", ("IBuilderConfig", "int8_calibrator")),
        ("trt.BuilderFlag.FP8", "8.5.3.1", ("BuilderFlag", "FP8")),
        ("builder.platform_has_fast_fp16", "1.7.1.116", ("Builder", "platform_has_fast_fp16")),
        ("flavour.trt.BuilderFlags", "11.0.0.114", (MODULE, "BuilderFlags")),
        ("layer.get_output(0).dtype.nam", "10.16.1.11", ("DataType", "nam")),
        (
            "class M(trt.IProgressMonitor):\n    def phase_end(self): ...",
            "11.4.0.106",
            ("IProgressMonitor", "phase_end"),
        ),
        ("runtime.get_engine_valid(plan)", "1.7.1.116", ("Runtime", "get_engine_valid")),
    ],
)
def test_a_planted_wrong_name_is_found(planted, version, use):
    declared = {
        "builder": "Builder",
        "builder_config": "IBuilderConfig",
        "layer": "ILayer",
        "runtime": "Runtime",
    }
    assert unknown_uses(planted, declared, version) == {use}


def test_a_guarded_name_is_asked_for_only_where_it_is_declared():
    use = "runtime.get_engine_validity(plan)"
    assert unknown_uses(use, {"runtime": "Runtime"}, "8.5.3.1") == set()
    assert not is_known("8.5.3.1", ("Runtime", "get_engine_validity"))


@pytest.mark.skipif(tensorrt_rtx.__version__ != RTX_VERSION, reason="the table is of another version")
def test_the_table_of_the_installed_version_is_what_the_module_has():
    for owner in TABLES:
        members_here = {
            name for name in dir(getattr(tensorrt_rtx, owner, object)) if not name.startswith("_")
        }
        assert members(RTX_VERSION, owner) == (members_here if hasattr(tensorrt_rtx, owner) else set()), owner
