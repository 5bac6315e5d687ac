"""Seeds that depend on what a sample is, never on who computes it or when."""

import hashlib

_MAX_SEED = (1 << 63) - 1


def sample_seed(run_seed: int, epoch: int, index: int) -> int:
    """A number in [0, 2**63) for sample `index` in `epoch`; fits `torch.Generator.manual_seed` and numpy."""
    return mix("sample", run_seed, epoch, index)


def mix(purpose: str, *numbers: int) -> int:
    """BLAKE2 of purpose and numbers, in [0, 2**63): equal inputs give equal seeds on every machine."""
    text = ":".join([purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") & _MAX_SEED
