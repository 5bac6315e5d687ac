import os
import signal
import subprocess
import sys
import time

import psutil

from tests.tiny_package import write_tiny_package

WAIT_S = 60.0

OWNER = """
import sys, time
from pathlib import Path
from afdcd.served import running_service

with running_service(Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def test_a_service_of_ours_leaves_when_its_owner_is_killed(tmp_path):
    package = write_tiny_package(tmp_path / "package")
    command = [sys.executable, "-c", OWNER, str(package.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline().startswith("http://127.0.0.1:")
        (service,) = psutil.Process(owner.pid).children()
        os.kill(owner.pid, signal.SIGKILL)
    deadline = time.monotonic() + WAIT_S
    while service.is_running() and service.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the service outlived its owner"
        time.sleep(0.1)
