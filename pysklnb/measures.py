"""Measure clips: the least and largest coordinates, missing joints, persons that change slots; `quality` of a data set.

Clips are small, so that a call of numpy takes as long as a clip: what can be is done for many of them together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .dataset import load, with_bar

if TYPE_CHECKING:
    import pandas as pd

_Array = npt.NDArray[Any]
Bounds = tuple[list[float], list[float]]  # the least and the largest value of each coordinate

# A slot seems to swap when another slot's person comes closer than this share of the way to its own.
SWAP_SHARE = 0.3
# Official files have up to 34 people in a frame (measured). To compare each with each is for such numbers.
MOST_SLOTS = 100


def bounds(arrays: Sequence[_Array]) -> list[Bounds]:
    """Give the least and the largest value of each coordinate, which is the last axis; NaN where there is one.

    None of the arrays is empty. They are taken together, for the sake of many small ones.
    """
    found: dict[int, Bounds] = {}
    alike = defaultdict(list)
    for place, array in enumerate(arrays):
        alike[array.dtype, array.shape[-1]].append(place)
    for (dtype, length), places in alike.items():
        rows = [arrays[place].reshape(-1, length) for place in places]
        starts = [0, *accumulate(map(len, rows[:-1]))]
        columns = np.ascontiguousarray(np.concatenate(rows).T)
        is_float16 = dtype == np.float16
        columns = _ordered(columns.view(np.int16)) if is_float16 else columns.astype(_wide(dtype), copy=False)
        low, high = (ufunc.reduceat(columns, starts, axis=1).T for ufunc in (np.minimum, np.maximum))
        if is_float16:
            low, high = _ordered(low).view(np.float16), _ordered(high).view(np.float16)
        limits = zip(low.tolist(), high.tolist(), strict=True)
        found |= zip(places, limits, strict=True)
    return [found[place] for place in range(len(arrays))]


def _ordered(bits: _Array) -> _Array:
    """Turn the bits of float16 into ints of the same order, and back: they are compared much faster.

    NaNs come out beyond infinity, on the side of their sign.
    """
    ordered: _Array = bits ^ ((bits >> 15) & 0x7FFF)
    return ordered


def widened(values: _Array) -> _Array:
    """Give the values as floats in which sums of float16 do not overflow."""
    if values.dtype != np.float16:
        return values.astype(_wide(values.dtype), copy=False)
    # numpy converts float16 one number at a time. Put into the places that float32 has for them, all their bits are
    # a number again, too small by the difference of the two exponents.
    bits = values.view(np.int16).astype(np.int32, order="C")
    bits <<= 13
    bits &= ~0x7000_0000
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    beyond = np.abs(wide) > _LARGEST_FLOAT16
    if beyond.any():  # infinity and NaN
        wide[beyond] = values[beyond]
    return wide


_LARGEST_FLOAT16 = np.float32(np.finfo(np.float16).max)


def absent_joints(keypoint: _Array) -> _Array | None:
    """Give where joints are missing, bool [M, T, V]: all coordinates are zero there. None if no joint is."""
    if keypoint.dtype == np.float16:
        keypoint = keypoint.view(np.int16) << 1  # without the sign; ints are compared faster
    absent: _Array = keypoint[..., 0] == 0
    for axis in range(1, keypoint.shape[-1]):
        absent &= keypoint[..., axis] == 0
    return absent if absent.any() else None


def count_swaps(keypoints: Sequence[_Array]) -> list[int]:
    """Count in each clip where a slot's person is far from itself and close to another slot's, one frame on.

    The keypoints are float arrays [M, T, V, C]. They are taken together, for the sake of many small ones.
    """
    found = [0] * len(keypoints)
    alike = defaultdict(list)
    for place, keypoint in enumerate(keypoints):
        people, _, *rest = keypoint.shape
        alike[people, *rest].append(place)
    for places in alike.values():
        together = [keypoints[place] for place in places]
        swaps = _swaps_by_frame(_centres(np.concatenate(together, axis=1)))
        starts = [0, *accumulate(keypoint.shape[1] for keypoint in together)]
        swaps[[start - 1 for start in starts]] = 0  # from a clip's last frame it is a long way to the next one's first
        counts = np.add.reduceat(swaps, starts[:-1])
        for place, count in zip(places, counts.tolist(), strict=True):
            found[place] = count
    return found


def _centres(keypoint: _Array) -> _Array:
    """Give where each person is, [C, M, T]: NaN where nobody is."""
    people, frames, joints, dimensions = keypoint.shape
    wide = widened(keypoint).reshape(people, frames, -1)
    centres = np.ascontiguousarray((wide @ _adding_up(joints, dimensions, wide.dtype)).transpose(2, 0, 1))
    absent = absent_joints(keypoint)
    if absent is None:
        centres /= joints
    else:  # missing joints are zeros, and add nothing
        present = np.count_nonzero(~absent, axis=2)
        centres /= np.where(present, present, np.nan)
    return centres


@lru_cache(8)
def _adding_up(joints: int, dimensions: int, dtype: np.dtype[Any]) -> _Array:
    """Give what sums up the joints, if a frame's numbers [V * C] are multiplied by it."""
    return np.tile(np.eye(dimensions, dtype=dtype), (joints, 1))


def _swaps_by_frame(centres: _Array) -> _Array:
    """Count the swaps [T] from each frame to the next one. Comparisons with NaN are False."""
    _, people, frames = centres.shape
    swaps = np.zeros(frames, int)
    step = max(1, 100_000 // people**2)  # a crowd is compared a few frames at a time, for the memory
    for start in range(0, frames - 1, step):
        here = centres[:, :, start : start + step + 1]
        ways = here[:, :, None, :-1] - here[:, None, :, 1:]
        ways *= ways
        squares = np.add.reduce(ways, axis=0)
        own = np.einsum("iit->it", squares)  # a view: of each slot to itself
        near = SWAP_SHARE**2 * own
        own[:] = np.inf
        swapped = np.fmin.reduce(squares, axis=1) < near
        if swapped.any():
            swaps[start : start + step][: swapped.shape[1]] = np.count_nonzero(swapped, axis=0)
    return swaps


def quality(dataset: Any) -> pd.DataFrame:
    """Measure every clip: a table with a row a clip, in their order.

    Parameters
    ----------
    dataset
        What `load` gives or takes: a `Dataset`, a path, or Python objects in the documented form.

    Returns
    -------
    pandas.DataFrame
        ``frame_dir`` and ``label`` as in the file; ``frames`` (T) and ``people`` (M); ``empty_frames``, the number of
        frames with nobody; ``missing_joints``, the share of zero joints among those of the persons that are in a
        frame; ``mean_score`` of the joints that are there; ``slot_swaps``, how often a person seems to change slots
        from one frame to the next, each slot counted for itself (between frames with nobody nothing can be seen, so 0
        says little of a clip in which every second frame is empty). What a clip does not tell, without keypoints
        [M, T, V, C] for one, is NaN.

    Examples
    --------
    >>> table = pysklnb.quality(pysklnb.sample("ntu60_hrnet"))
    >>> table.columns.tolist()
    ['frame_dir', 'label', 'frames', 'people', 'empty_frames', 'missing_joints', 'mean_score', 'slot_swaps']
    >>> int(table.empty_frames.sum())
    5
    """
    import pandas as pd

    with np.errstate(all="ignore"):
        rows = [_measure(clip) for clip in with_bar(load(dataset), "clips")]
    return pd.DataFrame(rows, columns=["frame_dir", "label", *_Measures._fields])


class _Measures(NamedTuple):
    frames: float = np.nan
    people: float = np.nan
    empty_frames: float = np.nan
    missing_joints: float = np.nan
    mean_score: float = np.nan
    slot_swaps: float = np.nan


def _measure(clip: Mapping[str, Any] | None) -> tuple[Any, ...]:
    if clip is None:
        return None, None, *_Measures()
    names = clip.get("frame_dir", clip.get("filename")), clip.get("label")
    identity = [name if isinstance(name, (str, int, np.integer)) else None for name in names]
    keypoint, score = clip.get("keypoint"), clip.get("keypoint_score")
    if not isinstance(keypoint, np.ndarray) or keypoint.ndim != 4 or keypoint.dtype.kind not in "fiu":
        return *identity, *_Measures()
    people, frames, joints, _ = keypoint.shape
    if not keypoint.size:
        return *identity, *_Measures(frames, people, empty_frames=frames)
    absent = absent_joints(keypoint)
    present = np.ones(keypoint.shape[:3], bool) if absent is None else ~absent
    there = present.any(axis=2)
    persons = np.count_nonzero(there)
    missing, mean = np.nan, np.nan
    if persons:
        missing = 1 - np.count_nonzero(present) / (persons * joints)
        if isinstance(score, np.ndarray) and score.shape == present.shape and score.dtype.kind in "fiu":
            mean = float(widened(score)[present].mean())
    swaps = count_swaps([keypoint])[0] if people <= MOST_SLOTS else np.nan
    empty = frames - np.count_nonzero(there.any(axis=0))
    return *identity, *_Measures(frames, people, empty, missing, mean, swaps)


def _wide(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    return np.float64 if dtype.itemsize > 4 else np.float32
