"""Read a Dockerfile as the list of its instructions, so that tests and images cannot drift apart."""

import json
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def read_dockerfile(name: str) -> list[tuple[str, str]]:
    """(instruction, arguments) in order; comments dropped and continued lines joined."""
    text = (REPOSITORY / "docker" / name).read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    instructions = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(keyword, arguments.strip()) for keyword, _, arguments in instructions]


def arguments_of(name: str, keyword: str) -> list[str]:
    return [arguments for found, arguments in read_dockerfile(name) if found == keyword]


def exec_form(name: str, keyword: str) -> list[str]:
    """The words of an instruction in exec form, as `ENTRYPOINT ["a"]` or `HEALTHCHECK ... CMD ["a"]`."""
    (arguments,) = arguments_of(name, keyword)
    words: list[str] = json.loads(arguments[arguments.index("[") :])
    return words


def copied(name: str) -> list[str]:
    """Every path that a COPY takes from the repository."""
    return [source for arguments in arguments_of(name, "COPY") for source in arguments.split()[:-1]]
