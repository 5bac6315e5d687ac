"""Compiled loops of omni-contrasting on a CPU: float32 maps, patch by patch, without a copy of the maps.

Rows of a patch are ordered group by group and, within a group, pixel by pixel. Four student rows are worked
on at a time, so that each value of the teacher that is read serves all of them; one patch of the teacher, in
two layouts, stays in the second-level cache. The innermost loops run along memory without branches, in the
form that LLVM turns into vector instructions.

numba compiles this file when it is first imported (seconds) and keeps the result in its cache.
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

F32 = np.float32
Floats = NDArray[np.float32]

ROWS = 4
STEP = 4
"""Channels whose differences are added up before they join a total. l1: the distance to the row's own teacher
row is taken off each such sum, so that totals stay small; whole distances lose a digit when subtracted."""
NEGLIGIBLE = F32(2.0**-30)
"""Derivatives below this part of their row's largest are skipped: together they are lost in rounding."""

_LOWEST, _TINY = F32(-80.0), F32(2 * math.exp(-80.0))
"""Exponentials below become 0: close to the smallest normal number arithmetic turns slow."""
_ROUND = F32(1.5 * 2**23)
"""A small number plus this is an integer plus this, and the integer stands in the last bits of the sum."""
_LOG2_E = F32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = F32(0.693359375), F32(-2.12194440e-4)
_SERIES = tuple(
    F32(value)
    for value in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
)
"""(exp(x) - 1 - x) / x^2 between -ln(2) / 2 and ln(2) / 2, as in the Cephes library."""
_ZERO, _ONE = F32(0), F32(1)

_MAPS = numba.float32[:, :, :, :]
_SIGNATURE = numba.float64(*[_MAPS] * 4, numba.float32[:], *[numba.int64] * 5, *[numba.boolean] * 2)


def _compiled(*signature: Any, **options: Any) -> Any:
    return numba.njit(*signature, nogil=True, error_model="numpy", **options)


def _cached(function: Any) -> Any:
    """Compiled for one signature, maps of any strides; in memory alone where no folder can be written."""
    try:
        return _compiled(_SIGNATURE, cache=True)(function)
    except RuntimeError:
        return _compiled(_SIGNATURE)(function)


@_compiled()
def _row_of(window: Floats, groups: int, row: int) -> Floats:
    """The channels (D,) of a row of a window (C, height, width)."""
    channels, pixels, width = window.shape[0] // groups, window.shape[1] * window.shape[2], window.shape[2]
    first, pixel = row // pixels * channels, row % pixels
    return window[first : first + channels, pixel // width, pixel % width]


@_compiled()
def _term(x: Any, y: Any, is_l1: bool) -> Any:
    return abs(x - y) if is_l1 else (x - y) * (x - y)


@_compiled()
def _distances(students: Floats, owns: Floats, others: Floats, is_l1: bool, out: Floats) -> None:
    """Of ROWS student rows to all others (D, R) into out (ROWS, R); l1 less the distance to the row's own."""
    out[:] = _ZERO
    for d in range(0, others.shape[0], STEP):
        other0, other1, other2, other3 = others[d], others[d + 1], others[d + 2], others[d + 3]
        for i in range(ROWS):
            x0, x1, x2, x3 = students[i, d], students[i, d + 1], students[i, d + 2], students[i, d + 3]
            own = _ZERO
            if is_l1:
                y0, y1, y2, y3 = owns[i, d], owns[i, d + 1], owns[i, d + 2], owns[i, d + 3]
                own = (abs(x0 - y0) + abs(x1 - y1)) + (abs(x2 - y2) + abs(x3 - y3))
            line = out[i]
            for k in range(line.shape[0]):
                near = _term(x0, other0[k], is_l1) + _term(x1, other1[k], is_l1)
                line[k] += (near + (_term(x2, other2[k], is_l1) + _term(x3, other3[k], is_l1))) - own
    if not is_l1:
        out[:] = np.sqrt(out)


@_compiled(fastmath={"nnan", "nsz", "reassoc"})
def _largest(values: Floats) -> Any:
    """Of numbers and 0; what is not a number may be passed over."""
    top = _ZERO
    for k in range(values.shape[0]):
        top = values[k] if values[k] > top else top
    return top


@_compiled(fastmath={"reassoc"})
def _sum(values: Floats) -> Any:
    total = _ZERO
    for k in range(values.shape[0]):
        total += values[k]
    return total


@_compiled()
def _exponentials(values: Floats, top: Any, powers: Floats, bits: Any) -> None:
    """exp(values - top) for values <= top, in place; `bits` are `powers` read as int32."""
    for k in range(values.shape[0]):
        value = values[k] - top
        value = _LOWEST if value < _LOWEST else value
        shifted = value * _LOG2_E + _ROUND
        whole = shifted - _ROUND
        rest = (value - whole * _LN2_HIGH) - whole * _LN2_LOW
        series = _SERIES[0] * rest + _SERIES[1]
        series = series * rest + _SERIES[2]
        series = series * rest + _SERIES[3]
        series = series * rest + _SERIES[4]
        series = series * rest + _SERIES[5]
        values[k] = (series * (rest * rest) + rest) + _ONE
        powers[k] = shifted
    for k in range(values.shape[0]):
        bits[k] = (bits[k] << 23) + (127 << 23)
    for k in range(values.shape[0]):
        value = values[k] * powers[k]
        values[k] = _ZERO if value < _TINY else value


@_compiled()
def _row_loss(apart: Floats, row: int, left_out: Any, scale: Any, scratch: Any, kept: Any) -> Any:
    """Loss of a row whose distances are `apart`, and how many derivatives by them matter.

    left_out: range of rows that are no negatives; it may hold `row`. kept: those that matter, and their
    derivatives, filled up with zeros to a multiple of ROWS.
    """
    weights, powers, bits = scratch
    keep, slopes = kept
    for k in range(apart.shape[0]):
        weights[k] = (apart[row] - apart[k]) * scale
    weights[left_out[0] : left_out[1]] = -np.inf
    top = _largest(weights)
    _exponentials(weights, top, powers, bits)
    weights[row] = _ZERO
    negatives, positive = _sum(weights), F32(math.exp(-top))
    loss = math.log1p(negatives) if top == 0 else math.log(positive + negatives) + top
    factor = -scale / (positive + negatives)
    own = -factor * negatives
    weights[row] = -negatives
    count = 0
    for k in range(apart.shape[0]):
        keep[count], slopes[count] = k, weights[k] * factor
        count += not abs(slopes[count]) <= NEGLIGIBLE * own
    keep[count : count + ROWS], slopes[count : count + ROWS] = row, _ZERO
    return loss, -(-count // ROWS) * ROWS


@_compiled()
def _pull(x: Any, y: Any, slope: Any, is_l1: bool) -> Any:
    """Derivative of slope * distance by x; an l2 distance is already in the slope."""
    if is_l1:
        return (slope if x > y else _ZERO) - (slope if x < y else _ZERO)
    return (x - y) * slope


@_compiled()
def _add_gradient(
    student: Floats, others: Floats, keep: Any, slopes: Floats, is_l1: bool, out: Floats
) -> None:
    """By the student's row (D,), of its distances to the kept of the others (R, D)."""
    for j in range(0, keep.shape[0], ROWS):
        other0, other1 = others[keep[j]], others[keep[j + 1]]
        other2, other3 = others[keep[j + 2]], others[keep[j + 3]]
        slope0, slope1, slope2, slope3 = slopes[j], slopes[j + 1], slopes[j + 2], slopes[j + 3]
        for d in range(out.shape[0]):
            x = student[d]
            pair = _pull(x, other0[d], slope0, is_l1) + _pull(x, other1[d], slope1, is_l1)
            out[d] += pair + (_pull(x, other2[d], slope2, is_l1) + _pull(x, other3[d], slope3, is_l1))


@_compiled()
def _add_others(student: Floats, others: Floats, keep: Any, slopes: Floats, is_l1: bool, out: Floats) -> None:
    """The same by the others, into out (R, D)."""
    for j in range(keep.shape[0]):
        other, line = others[keep[j]], out[keep[j]]
        for d in range(line.shape[0]):
            line[d] -= _pull(student[d], other[d], slopes[j], is_l1)


@_cached
def contrast_patches(
    student: Floats,
    teacher: Floats,
    grad_student: Floats,
    grad_teacher: Floats,
    inverse_temperature: Floats,
    first_patch: int,
    end_patch: int,
    groups: int,
    height: int,
    width: int,
    excludes_own_group: bool,
    is_l1: bool,
) -> float:
    """Sum of the row losses of patches `first_patch` to `end_patch`, (height, width) each; writes gradients.

    Maps and gradients: (N, C, H, W). A gradient without elements is not computed.
    """
    pixels, channels = height * width, student.shape[1] // groups
    rows, padded = groups * pixels, -(-channels // STEP) * STEP
    across = student.shape[3] // width
    in_image = across * (student.shape[2] // height)
    others, by_channel = np.zeros((rows, padded), F32), np.empty((padded, rows), F32)
    students, owns = np.zeros((ROWS, padded), F32), np.zeros((ROWS, padded), F32)
    apart, powers = np.empty((ROWS, rows), F32), np.empty(rows, F32)
    scratch = np.empty(rows, F32), powers, powers.view(np.int32)
    keep, slopes = np.empty(rows + ROWS, np.int64), np.empty(rows + ROWS, F32)
    pulled, pushed = np.empty(padded, F32), np.empty((rows if grad_teacher.size else 0, padded), F32)
    total = 0.0
    for patch in range(first_patch, end_patch):
        image, top, left = patch // in_image, patch % in_image // across * height, patch % across * width
        down, right = top + height, left + width
        for row in range(rows):
            others[row, :channels] = _row_of(teacher[image, :, top:down, left:right], groups, row)
        by_channel[:] = others.T
        pushed[:] = _ZERO
        for row in range(rows):
            i = row % ROWS
            if i == 0:
                for j in range(min(ROWS, rows - row)):
                    own_row = _row_of(student[image, :, top:down, left:right], groups, row + j)
                    students[j, :channels], owns[j] = own_row, others[row + j]
                _distances(students, owns, by_channel, is_l1, apart)
            group = row // pixels * pixels
            left_out = (group, group + pixels) if excludes_own_group else (row, row)
            loss, count = _row_loss(
                apart[i], row, left_out, inverse_temperature[image], scratch, (keep, slopes)
            )
            total += loss
            for j in range(0 if is_l1 else count):
                slopes[j] = slopes[j] / apart[i, keep[j]] if apart[i, keep[j]] > 0 else _ZERO
            if grad_student.size:
                pulled[:] = _ZERO
                _add_gradient(students[i], others, keep[:count], slopes, is_l1, pulled)
                _row_of(grad_student[image, :, top:down, left:right], groups, row)[:] = pulled[:channels]
            if grad_teacher.size:
                _add_others(students[i], others, keep[:count], slopes, is_l1, pushed)
        for row in range(pushed.shape[0]):
            _row_of(grad_teacher[image, :, top:down, left:right], groups, row)[:] = pushed[row, :channels]
    return total
