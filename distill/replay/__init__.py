"""Recompute golden files: expected losses, gradients and outputs of the authors' code, pinned as .npz.

A new kind of file is a file beside this and a line in one of the two tables below.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from pathlib import Path

import torch

from distill.replay.adversarial import replay_adversarial
from distill.replay.at import replay_at
from distill.replay.cirkd import replay_memory_relations, replay_pixel_relations
from distill.replay.comparison import Comparison
from distill.replay.contrast import replay_contrast
from distill.replay.cwd import replay_cwd_feature, replay_cwd_logits
from distill.replay.features import replay_features
from distill.replay.fitnet import replay_fitnet
from distill.replay.golden import Golden, GoldenError
from distill.replay.ifvd import replay_ifvd
from distill.replay.ka import replay_ka
from distill.replay.kd import replay_kd
from distill.replay.line import ReplayLine
from distill.replay.logits import replay_logits, replay_metrics
from distill.replay.maskd import replay_maskd
from distill.replay.network import replay_network
from distill.replay.pcd import replay_pcd
from distill.replay.skd import replay_skd_pair, replay_skd_pixel
from modelpack.errors import RuntimeUnavailableError, SegError

Replay = Callable[[Golden], Comparison | None]
"""Recomputes what it knows of a file in the file's dtype, on its device; None: nothing there."""

KINDS: dict[str, tuple[Replay, ...]] = {
    "contrastive_term_only": (replay_contrast,),
    "full_feature_losses": (replay_features,),
    "logit_losses": (replay_logits, replay_metrics),
    "network": (replay_network,),
}
"""By `meta["kind"]`; files that list `parameters` are networks. Each function adds to the line."""

METHOD_FILES: dict[str, tuple[Replay, ...]] = {
    "at": (replay_at,),
    "cirkd memory pixel-to-pixel and pixel-to-region": (replay_memory_relations,),
    "cirkd mini-batch pixel-to-pixel": (replay_pixel_relations,),
    "cwd feature": (replay_cwd_feature,),
    "cwd logits": (replay_cwd_logits,),
    "fitnet": (replay_fitnet,),
    "ifvd": (replay_ifvd,),
    "ka": (replay_ka,),
    "kd": (replay_kd,),
    "maskd": (replay_maskd,),
    "pcd": (replay_pcd,),
    "skd holistic (adversarial) parts": (replay_adversarial,),
    "skd pair-wise": (replay_skd_pair,),
    "skd pixel-wise": (replay_skd_pixel,),
}
"""By `meta["method"]`."""

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def replay(files: Iterable[Path], device: str = "cpu") -> list[ReplayLine]:
    """One line for each file and dtype; a file that cannot be replayed gives one line that says why.

    Raises RuntimeUnavailableError for `cuda` where torch sees no CUDA device.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise RuntimeUnavailableError(
            f"device {device} is not available: torch sees no CUDA device. Use cpu."
        )
    return [line for file in files for line in _replay_file(file, torch.device(device))]


def run_replay(paths: Sequence[Path], device: str = "cpu") -> tuple[list[str], bool]:
    """The lines to print, and whether none of them is a FAIL."""
    lines = replay(paths, device)
    return [str(line) for line in lines], not any(line.is_failure for line in lines)


def _replay_file(path: Path, device: torch.device) -> list[ReplayLine]:
    try:
        lines = []
        for dtype_name, dtype in DTYPES.items():
            golden = Golden.read(path, dtype, device)
            functions = _functions(golden)
            if not functions:
                return [ReplayLine(str(path), skipped=golden.method)]
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                comparisons = [found for found in (function(golden) for function in functions) if found]
            lines.append(ReplayLine(str(path), dtype_name, reduce(Comparison.join, comparisons)))
    except SegError as error:
        return [ReplayLine(str(path), reason=str(error))]
    except Exception as error:  # a damaged file can break anywhere; the others must still be replayed
        logging.getLogger(__name__).debug("replay of %s", path, exc_info=True)
        return [ReplayLine(str(path), reason=f"{type(error).__name__}: {error}")]
    return lines


def _functions(golden: Golden) -> tuple[Replay, ...]:
    """Empty for a method that is not there yet."""
    if golden.kind is not None:
        if golden.kind not in KINDS:
            raise GoldenError(f"unknown kind {golden.kind!r}. Known: {', '.join(KINDS)}.")
        return KINDS[golden.kind]
    return METHOD_FILES.get(golden.meta["method"], ())
