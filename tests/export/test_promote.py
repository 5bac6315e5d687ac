"""`afdcd export promote`: what was never run goes through the whole gate where it can run."""

import pytest

from distill.datasets.camvid import CAMVID_LABELS
from distill.weights import STUDENT_FILE, save_weights
from export import promote as module
from export.build import export_model
from export.config import ExportConfig
from export.errors import ExportError, ParityError
from export.promote import promote
from modelpack.errors import RuntimeUnavailableError
from modelpack.package import MANIFEST_NAME, SIGNATURE_NAME, ModelPackage
from modelpack.runtimes import RUNTIMES
from modelpack.signature import new_key, sign_package
from tests.export.planted_faults import half_pixel_shift
from tests.export.test_ladder import RunsAnywhere, RunsNowhere, engine
from tests.export.tiny_run import TinyNetwork, write_tiny_run

LADDER = "tests.export.test_ladder"


@pytest.fixture
def unverified(tiny_run, tmp_path, monkeypatch):
    """A package whose plan was never run, on a machine that can run it from now on."""

    def make(fault=None, then=RunsAnywhere):
        monkeypatch.setitem(module.TARGETS, "engine", engine(fault))
        monkeypatch.setitem(RUNTIMES, "tensorrt", f"{LADDER}:{RunsNowhere.__name__}")
        targets = ("onnx-fp32", "engine")
        package = export_model(
            ExportConfig(run_dir=tiny_run, package_dir=tmp_path / "package", targets=targets)
        )
        monkeypatch.setitem(RUNTIMES, "tensorrt", f"{LADDER}:{then.__name__}")
        return package

    return make


def test_a_plan_that_holds_its_rule_here_is_verified_and_claimed(unverified):
    package = promote(unverified().path)
    assert package.artifact("engine").is_verified
    assert {claim.name for claim in package.manifest.claims if claim.artifact == "engine"} == {
        "miou",
        "agreement",
    }
    assert "never run" not in (package.path / "README.md").read_text()


def test_what_was_claimed_before_stays(unverified):
    before = unverified()
    claims = set(before.manifest.claims)
    assert claims < set(promote(before.path).manifest.claims)


def test_a_plan_that_answers_otherwise_stays_unverified(unverified):
    package = unverified(half_pixel_shift)
    before = (package.path / MANIFEST_NAME).read_bytes()
    with pytest.raises(ParityError, match="engine is refused"):
        promote(package.path)
    assert (package.path / MANIFEST_NAME).read_bytes() == before


def test_a_machine_that_cannot_run_it_either_changes_nothing(unverified):
    package = unverified(then=RunsNowhere)
    with pytest.raises(RuntimeUnavailableError, match="no NVIDIA driver"):
        promote(package.path)
    assert not ModelPackage.open(package.path).artifact("engine").is_verified


def test_a_signature_does_not_outlive_what_it_signed(unverified, tmp_path):
    package = unverified()
    new_key(tmp_path / "key")
    sign_package(package.path, tmp_path / "key")
    promote(package.path)
    assert not (package.path / SIGNATURE_NAME).exists()


def test_a_run_with_other_weights_is_refused(unverified, tmp_path):
    another = write_tiny_run(tmp_path / "another")
    network = TinyNetwork(CAMVID_LABELS.num_classes)
    network.head.bias.data.zero_()
    save_weights(network, another / STUDENT_FILE)
    with pytest.raises(ExportError, match="other weights"):
        promote(unverified().path, run_dir=another)


def test_a_package_that_is_verified_whole_is_told_so(package):
    with pytest.raises(ExportError, match="nothing that was never run"):
        promote(package.path)
