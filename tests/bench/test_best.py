"""`artifacts=best` measures what a service would open here; `first` stays the first of the manifest."""

from bench.config import BenchConfig
from bench.plan import make_plan
from modelpack.package import ModelPackage
from modelpack.runtimes import choose


def test_best_is_what_the_loader_chooses_with_the_reason(packages):
    config = BenchConfig(packages={"slow": packages["slow"]}, artifacts="best", device="cpu")
    (session,) = make_plan(config).sessions
    chosen = choose(ModelPackage.open(packages["slow"]), device="cpu")
    assert (session.artifact.name, session.runtime) == (chosen.artifact, chosen.runtime)
    assert session.choice == str(chosen)


def test_first_is_the_first_in_the_runtimes_that_were_named_and_nobody_chose_it(packages):
    config = BenchConfig(packages={"slow": packages["slow"]}, runtimes=("paced", "onnxruntime"))
    sessions = make_plan(config).sessions
    assert [session.runtime for session in sessions] == ["paced", "onnxruntime"]
    assert {(session.artifact.name, session.choice) for session in sessions} == {("onnx-fp32", "")}
