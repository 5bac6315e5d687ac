"""What docs/several-machines.md says to type: the options are torchrun's, the names within fit each other."""

import re
import shlex
import socket
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch.distributed.run import get_args_parser

from distill.config import TrainConfig
from distill.run import TrainingRun
from modelpack.recipe import read_recipe, training_part
from modelpack.settings import parse_settings
from tests.distill.tiny_recipe import KD, taught_values, write_recipe
from tests.docker.dockerfile import REPOSITORY, arguments_of

PAGE = (REPOSITORY / "docs" / "several-machines.md").read_text(encoding="utf-8")
TIMEOUT_S = 250


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def in_kubernetes() -> dict[str, Any]:
    """By kind, the objects of the page."""
    return {document["kind"]: document for document in yaml.safe_load_all(blocks("yaml")[0])}


def container() -> dict[str, Any]:
    return in_kubernetes()["Job"]["spec"]["template"]["spec"]["containers"][0]


def launches() -> dict[str, list[str]]:
    """The words after `torchrun`, wherever the page starts it; variables have a value."""
    shell = [line for block in (*blocks("sh"), *blocks("bash")) for line in block.splitlines()]
    lines = [line.partition("torchrun ")[2].rstrip("'") for line in shell if "torchrun --" in line]
    words = [shlex.split(re.sub(r"\"\$\w+\"", "1", line)) for line in lines]
    names = ["one machine", "by hand", "slurm"]
    job = [argument.replace("$(NODE_RANK)", "1") for argument in container()["args"]]
    return dict(zip(names, words, strict=True)) | {"kubernetes": job}


def parsed(words: list[str]) -> Namespace:
    return get_args_parser().parse_args(words)


@pytest.mark.parametrize("name", ["one machine", "by hand", "slurm", "kubernetes"])
def test_torchrun_understands_the_line_and_training_its_recipe(name: str):
    arguments = parsed(launches()[name])
    assert (arguments.module, arguments.training_script) == (True, "distill")
    verb, recipe, *overrides = arguments.training_script_args
    values = training_part(read_recipe(REPOSITORY / recipe, overrides))
    config = parse_settings(TrainConfig, values, recipe)
    processes = int(arguments.nproc_per_node) * (2 if name == "kubernetes" else 1)
    assert verb == "train"
    assert config.optim.batch % (processes * config.optim.accumulate) == 0


def test_every_pod_of_the_job_finds_the_first_one():
    job, service = in_kubernetes()["Job"], in_kubernetes()["Service"]
    name, spec = job["metadata"]["name"], job["spec"]
    arguments = parsed(launches()["kubernetes"])
    subdomain = spec["template"]["spec"]["subdomain"]
    assert subdomain == service["metadata"]["name"]
    assert arguments.master_addr == f"{name}-0.{subdomain}"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert service["spec"]["clusterIP"] == "None"
    assert int(arguments.nnodes) == spec["completions"] == spec["parallelism"]
    assert spec["completionMode"] == "Indexed"


def test_every_pod_asks_for_a_gpu_for_each_process_and_mounts_what_it_names():
    arguments, pod = parsed(launches()["kubernetes"]), in_kubernetes()["Job"]["spec"]["template"]["spec"]
    assert container()["resources"]["limits"]["nvidia.com/gpu"] == int(arguments.nproc_per_node)
    assert {mount["name"] for mount in container()["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert f"{pod['securityContext']['fsGroup']}" in arguments_of("Dockerfile.train", "USER")[-1]
    assert pod["terminationGracePeriodSeconds"] > arguments.shutdown_timeout


def test_the_script_for_slurm_is_one_that_bash_reads():
    (script,) = blocks("bash")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    options = dict(line.removeprefix("#SBATCH --").partition("=")[::2] for line in script.splitlines()[1:8])
    assert options["ntasks-per-node"] == "1"
    assert int(options["gpus-per-node"]) == int(parsed(launches()["slurm"]).nproc_per_node)


@pytest.mark.slow
def test_two_torchruns_started_by_hand_train_together(tmp_path: Path, teacher: Path):
    """Two machines are two addresses of one here."""
    values = taught_values(tmp_path / "out", teacher, methods=[KD], optim={"steps": 2})
    recipe = write_recipe(tmp_path / "recipe.yaml", values)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    machines = []
    for rank in range(2):
        words = [
            *("--nnodes=2", f"--node-rank={rank}", "--master-addr=127.0.0.1", f"--master-port={port}"),
            *("--nproc-per-node=1", "-m", "distill", "train", str(recipe)),
        ]
        machines.append(
            subprocess.Popen(
                [sys.executable, "-m", "torch.distributed.run", *words], stderr=subprocess.PIPE, text=True
            )
        )
    try:
        for machine in machines:
            _, said = machine.communicate(timeout=TIMEOUT_S)
            assert machine.returncode == 0, said
    finally:
        for machine in machines:
            machine.kill()
    assert TrainingRun.open(tmp_path / "out" / "train").result["selection"]["step"] > 0
