"""A service that has answered for long is what it was when it was young."""

import socket

import psutil
import pytest

from tests.serve.conftest import running_server, wait_until
from tests.serve.pictures import gradient, png

REQUESTS = 20_000
FIRST_REQUESTS = 2_000
"""After these every cache and pool has the size that it keeps."""
PER_CONNECTION = 50
MOST_GROWTH_BYTES = 8 * 2**20
GOOD = png(gradient())
BAD = b"this is not an image"


def ask(address: tuple[str, int], count: int) -> None:
    """`count` requests one after another over one connection, every tenth of them a bad one."""
    with socket.create_connection(address, timeout=30) as connection, connection.makefile("rb") as answers:
        for number in range(count):
            content, status = (BAD, 415) if number % 10 == 9 else (GOOD, 200)
            head = b"POST /v1/segment HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(content)
            connection.sendall(head + content)
            assert int(answers.readline().split()[1]) == status
            length = 0
            while (line := answers.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            assert len(answers.read(length)) == length


@pytest.mark.slow
def test_20000_requests_leave_memory_and_file_handles_flat(package):
    with running_server(package, "log_requests=false") as server:
        supervisor = psutil.Process(server.process.pid)
        processes = [supervisor, *supervisor.children()]

        def handles() -> list[int]:
            return [process.num_fds() for process in processes]

        def hold_no_connection() -> bool:
            return all(not process.net_connections("tcp4") for process in processes[1:])

        for _ in range(FIRST_REQUESTS // PER_CONNECTION):
            ask(server.address, PER_CONNECTION)
        wait_until(hold_no_connection)
        before_handles = handles()
        before_bytes = [process.memory_full_info().uss for process in processes]
        for _ in range(REQUESTS // PER_CONNECTION):
            ask(server.address, PER_CONNECTION)
        wait_until(hold_no_connection)
        grown_bytes = [
            process.memory_full_info().uss - before
            for process, before in zip(processes, before_bytes, strict=True)
        ]
        assert [process.is_running() for process in processes] == [True] * len(processes)
        assert handles() == before_handles
        assert max(grown_bytes) < MOST_GROWTH_BYTES
