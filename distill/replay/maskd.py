"""Files of method `maskd`: masks, both stages for logits, and both detection forms."""

import torch

from distill.losses.masked import mask_overlap, masked_error, weighted_masked_error
from distill.methods.receptive_tokens import ReceptiveTokens
from distill.replay.comparison import Comparison, tolerances
from distill.replay.golden import Golden
from distill.replay.loss import EXACT, ROUNDED

TOKEN_WEIGHTS = {
    "prob_conv3x3_w": "weigh.0.weight",
    "prob_conv3x3_b": "weigh.0.bias",
    "prob_conv1x1_w": "weigh.2.weight",
    "prob_conv1x1_b": "weigh.2.bias",
}
"""Array -> parameter of `ReceptiveTokens`."""


def replay_maskd(golden: Golden) -> Comparison:
    """Every loss on file with its gradient; masks and masked logits as outputs."""
    is_exact = golden.dtype == torch.float64
    limits = tolerances(golden.dtype, float64=EXACT, float32=ROUNDED)
    comparison = Comparison({**limits, "output": (EXACT if is_exact else ROUNDED)[0]})
    _add_stage1(golden, comparison)
    _add_stage2(golden, comparison)
    return comparison


def _add_stage1(golden: Golden, comparison: Comparison) -> None:
    tokens = _tokens(golden, is_weighted=False)
    masked, masks = tokens.masked(golden.input("teacher"))
    overlap = mask_overlap(masks)
    torch.autograd.backward(overlap)
    for name, output in (("masks", masks), ("stage1_masked_logits", masked)):
        if golden.has(name):
            comparison.add("output", name, output, golden.reference(name))
    if golden.has("loss_stage1_dice"):
        comparison.add("loss", "loss_stage1_dice", overlap, golden.reference("loss_stage1_dice"))
    name = "grad_stage1_dice_token"
    if golden.has(name) and tokens.tokens.grad is not None:
        comparison.add("grad", name, tokens.tokens.grad, golden.reference(name))


def _add_stage2(golden: Golden, comparison: Comparison) -> None:
    """`loss` is the form for segmentation; customised masks are those of the student too."""
    teacher = golden.input("teacher")
    for ending in ("", "_detection_weighted", "_detection_custom"):
        if not golden.has(f"loss{ending}"):
            continue
        student = golden.input("student", requires_grad=True)
        tokens = _tokens(golden, is_weighted=ending != "")
        masks = tokens.masks(teacher)
        if ending == "":
            loss = masked_error(student, teacher, masks)
        else:
            if ending == "_detection_custom":
                masks = masks * tokens.masks(student.detach())
            loss = weighted_masked_error(student, teacher, masks, tokens.token_weights(teacher))
        torch.autograd.backward(loss)
        comparison.add("loss", f"loss{ending}", loss, golden.reference(f"loss{ending}"))
        name = f"grad_student{ending}"
        if golden.has(name) and student.grad is not None:
            comparison.add("grad", name, student.grad, golden.reference(name))


def _tokens(golden: Golden, *, is_weighted: bool) -> ReceptiveTokens:
    values = golden.input("tokens")
    count, channels = values.shape
    tokens = ReceptiveTokens(channels, count, is_weighted=is_weighted).to(golden.device, golden.dtype)
    state = {"tokens": values}
    if is_weighted:
        state |= {ours: golden.input(stored) for stored, ours in TOKEN_WEIGHTS.items()}
    tokens.load_state_dict(state)
    return tokens
