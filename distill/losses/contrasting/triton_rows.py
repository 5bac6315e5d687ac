"""Triton functions for rows of patches: where they are in the maps, and how far apart they are."""

import triton
import triton.language as tl

STEP = tl.constexpr(4)
"""Channels whose differences are added up before they join a total. l1: the distance to the row's own teacher
row is taken off each such sum, so that totals stay small; whole distances lose a digit when subtracted."""


@triton.jit
def row_offsets(rows, channels, strides, PIXELS: tl.constexpr, WIDTH: tl.constexpr):
    """Of rows' first channels, from the patch's first element; strides: of channels, lines and columns."""
    pixel = rows % PIXELS
    return rows // PIXELS * channels * strides[0] + pixel // WIDTH * strides[1] + pixel % WIDTH * strides[2]


@triton.jit
def load_channel(pointers, stride, channel, channels, is_row):
    """One channel of rows in float32, 0 where there is none."""
    return tl.load(pointers + channel * stride, mask=is_row & (channel < channels), other=0.0).to(tl.float32)


@triton.jit
def relative_logits(
    x_at,
    own_at,
    y_at,
    x_stride,
    y_stride,
    channels,
    rows,
    teacher_rows,
    scale,
    ROWS: tl.constexpr,
    PIXELS: tl.constexpr,
    ALL: tl.constexpr,
    IS_L1: tl.constexpr,
):
    """(own distance - distance) * scale, -inf where there is no negative; and the distances (only of l2).

    x_at, own_at, y_at: first channels of student rows, of their own teacher rows, of `teacher_rows`. The
    results are (teacher rows, student rows).
    """
    is_row, is_teacher_row = rows < ROWS, teacher_rows < ROWS
    apart = tl.zeros([teacher_rows.shape[0], rows.shape[0]], tl.float32)
    own = tl.zeros([rows.shape[0]], tl.float32)
    for start in range(0, channels, STEP):
        part = tl.zeros([teacher_rows.shape[0], rows.shape[0]], tl.float32)
        part_own = tl.zeros([rows.shape[0]], tl.float32)
        for number in tl.static_range(STEP):
            x = load_channel(x_at, x_stride, start + number, channels, is_row)
            y = load_channel(y_at, y_stride, start + number, channels, is_teacher_row)
            away = y[:, None] - x[None, :]
            away_own = load_channel(own_at, y_stride, start + number, channels, is_row) - x
            part += tl.abs(away) if IS_L1 else away * away
            part_own += tl.abs(away_own) if IS_L1 else away_own * away_own
        apart += part - part_own[None, :] if IS_L1 else part
        own += part_own
    relative = apart
    if not IS_L1:
        apart = tl.sqrt(apart)
        relative = apart - tl.sqrt(own)[None, :]
    if ALL:
        is_negative = teacher_rows[:, None] != rows[None, :]
    else:
        is_negative = (teacher_rows // PIXELS)[:, None] != (rows // PIXELS)[None, :]
    return tl.where(is_negative & is_teacher_row[:, None], -scale * relative, float("-inf")), apart
