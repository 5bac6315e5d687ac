"""The Triton kernel of omni-contrasting: some student rows of one patch against all rows of its teacher.

A program holds its distances in registers, teacher rows by student rows, with neighbouring student rows in
neighbouring lanes: sums over teacher rows are taken within threads first, then across few warps. Where a
patch has more rows than BLOCK_TEACHER, distances are taken block by block, once for the log-sum-exp, which is
carried on from block to block, and once more for the gradient. Maps are read where they are, by any strides,
and everything is computed in float32.
"""

import triton
import triton.language as tl

from distill.losses.contrasting.triton_rows import load_channel, relative_logits, row_offsets

SHARP = tl.constexpr(2.0**126)
"""A difference times this, cut to [-1, 1], is its sign: with comparisons it takes twice the instructions."""


@triton.jit
def _add_gradient(
    logits,
    apart,
    softmax,
    x_at,
    y_at,
    gradient_at,
    steps,
    channels,
    rows,
    teacher_rows,
    scale,
    IS_FIRST: tl.constexpr,
    ROWS: tl.constexpr,
    IS_L1: tl.constexpr,
):
    """By the student's rows, of their distances to `teacher_rows`; written, or added to what is there."""
    top, normaliser, negatives = softmax
    slopes = tl.exp(logits - top[None, :]) * (-scale / normaliser)[None, :]
    own_slope = scale * negatives / normaliser
    slopes = tl.where(teacher_rows[:, None] == rows[None, :], own_slope[None, :], slopes)
    if not IS_L1:
        slopes = tl.where(apart > 0, slopes / tl.where(apart > 0, apart, 1.0), 0.0)
    x_next = load_channel(x_at, steps[0], 0, channels, rows < ROWS)
    y_next = load_channel(y_at, steps[1], 0, channels, teacher_rows < ROWS)
    for channel in range(0, channels):
        x, y = x_next[None, :], y_next[:, None]
        x_next = load_channel(x_at, steps[0], channel + 1, channels, rows < ROWS)
        y_next = load_channel(y_at, steps[1], channel + 1, channels, teacher_rows < ROWS)
        away = tl.clamp((x - y) * SHARP, -1.0, 1.0) if IS_L1 else x - y
        total = tl.sum(away * slopes, axis=0)
        if not IS_FIRST:
            total += tl.load(gradient_at + channel * steps[2], mask=rows < ROWS, other=0.0)
        tl.store(gradient_at + channel * steps[2], total, mask=rows < ROWS)


@triton.jit
def contrast_tile(
    student,
    teacher,
    gradient,
    losses,
    inverse_temperature,
    channels,
    patches_down,
    patches_across,
    x_strides,
    y_strides,
    g_strides,
    ROWS: tl.constexpr,
    PIXELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ALL: tl.constexpr,
    IS_L1: tl.constexpr,
    WANTS_GRADIENT: tl.constexpr,
    BLOCK_STUDENT: tl.constexpr,
    BLOCK_TEACHER: tl.constexpr,
):
    """Losses (patches * blocks of student rows,), each the sum over its rows; float32 gradient (N, C, H, W).

    channels: of a row. Strides: of images, channels, lines and columns. One program for each loss: the blocks
    of a patch follow each other, so that what they read of its teacher is still in the cache.
    """
    blocks = tl.cdiv(ROWS, BLOCK_STUDENT)
    block, patch = tl.program_id(0) % blocks, tl.program_id(0) // blocks
    image = (patch // (patches_down * patches_across)).to(tl.int64)
    line = patch // patches_across % patches_down * (PIXELS // WIDTH)
    column = patch % patches_across * WIDTH
    rows = block * BLOCK_STUDENT + tl.arange(0, BLOCK_STUDENT)
    is_row = rows < ROWS
    x_at = student + image * x_strides[0] + line * x_strides[2] + column * x_strides[3]
    y_from = teacher + image * y_strides[0] + line * y_strides[2] + column * y_strides[3]
    g_at = gradient + image * g_strides[0] + line * g_strides[2] + column * g_strides[3]
    x_at += row_offsets(rows, channels, x_strides[1:], PIXELS, WIDTH)
    own_at = y_from + row_offsets(rows, channels, y_strides[1:], PIXELS, WIDTH)
    g_at += row_offsets(rows, channels, g_strides[1:], PIXELS, WIDTH)
    steps = (x_strides[1], y_strides[1], g_strides[1])
    scale = tl.load(inverse_temperature + image)

    # The positive's logit is 0: it may be the top, and is added at the end.
    others = tl.arange(0, BLOCK_TEACHER)
    y_at = y_from + row_offsets(others, channels, y_strides[1:], PIXELS, WIDTH)
    logits, apart = relative_logits(
        x_at, own_at, y_at, steps[0], steps[1], channels, rows, others, scale, ROWS, PIXELS, ALL, IS_L1
    )
    top = tl.maximum(tl.max(logits, axis=0), 0.0)
    negatives = tl.sum(tl.exp(logits - top[None, :]), axis=0)
    for first in range(BLOCK_TEACHER, ROWS, BLOCK_TEACHER):
        more = first + others
        z_at = y_from + row_offsets(more, channels, y_strides[1:], PIXELS, WIDTH)
        further, _ = relative_logits(
            x_at, own_at, z_at, steps[0], steps[1], channels, rows, more, scale, ROWS, PIXELS, ALL, IS_L1
        )
        higher = tl.maximum(top, tl.max(further, axis=0))
        negatives = negatives * tl.exp(top - higher) + tl.sum(tl.exp(further - higher[None, :]), axis=0)
        top = higher
    normaliser = tl.exp(-top) + negatives
    # log(1 + z) for a small z: what 1 + z was rounded by stands in the divisor too.
    divisor = tl.where(normaliser > 1.0, normaliser - 1.0, 1.0)
    small = tl.where(normaliser > 1.0, tl.log(normaliser) * (negatives / divisor), negatives)
    row_losses = tl.where(top > 0.0, tl.log(normaliser) + top, small)
    total = tl.sum(tl.where(is_row, row_losses, 0.0), axis=0)
    tl.store(losses + tl.program_id(0), total)

    if WANTS_GRADIENT:
        softmax = (top, normaliser, negatives)
        _add_gradient(
            logits, apart, softmax, x_at, y_at, g_at, steps, channels, rows, others, scale, True, ROWS, IS_L1
        )
        for first in range(BLOCK_TEACHER, ROWS, BLOCK_TEACHER):
            tl.debug_barrier()  # what is added to was written by other threads
            more = first + others
            z_at = y_from + row_offsets(more, channels, y_strides[1:], PIXELS, WIDTH)
            further, far = relative_logits(
                x_at, own_at, z_at, steps[0], steps[1], channels, rows, more, scale, ROWS, PIXELS, ALL, IS_L1
            )
            _add_gradient(
                further,
                far,
                softmax,
                x_at,
                z_at,
                g_at,
                steps,
                channels,
                rows,
                more,
                scale,
                False,
                ROWS,
                IS_L1,
            )
