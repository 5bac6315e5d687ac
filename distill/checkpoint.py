"""The state of a training run between two steps: saved atomically, restored exactly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from modelpack.atomic import write_with
from modelpack.errors import CheckpointError

FORMAT = 1


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values; a kill at any moment leaves the previous state or this one."""
    content = {"format": FORMAT, "rng": rng_state(), **state}
    write_with(path, lambda temporary: _save(content, temporary))


def load_state(path: Path) -> dict[str, Any]:
    """Raises CheckpointError for a damaged file or one of another format."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"the training state {path} is damaged ({type(error).__name__}). "
            "Remove it to start this run anew."
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is no training state of format {FORMAT}. Remove it to start this run anew."
        )
    return state


def _save(content: Mapping[str, Any], path: Path) -> None:
    """Raises OSError for what the disk refuses: torch's writer hides it behind an error of its own."""
    with path.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def rng_state() -> dict[str, Any]:
    """States of torch's global generators: what dropout draws from."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_rng(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
