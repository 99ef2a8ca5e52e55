"""Kinetics' compressed form of a clip, N skeletons in a row, and the way to the normal form and back.

A row of a compressed clip is one person in one frame: `keypoint` [N, V, 3] holds x and y (px) and the score of each
joint, `frame_inds` [N] the frame of each row, never decreasing, and `box_score` [N] how sure the detector was. There
is no person axis: that a skeleton is the p-th of its frame is all that puts it into slot p. A slot is no identity.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .sources import FormatError

_Array = npt.NDArray[Any]
_Fields = dict[str, Any]

# One joint of a row in float16. Nothing is computed with x and y: they move as one item of four bytes.
_JOINT = np.dtype([("xy", np.uint32), ("score", np.float16)])
# The scores for which an index record says in how many frames there is a box of at least that score.
_VALID_AT = (0.5, 0.6, 0.7, 0.8, 0.9)


def decompress(
    annotation: Mapping[str, Any],
    keypoint: npt.ArrayLike | None = None,
    *,
    box_thr: float | None = None,
    squeeze: bool = True,
    max_person: int = 10,
    base: int | None = None,
) -> dict[str, Any]:
    """Turn a compressed clip into the normal form.

    With ``squeeze=True`` the arrays are equal to the bit to those that the operator `DecompressPose` of PYSKL and
    MMAction2 makes of the same rows. (Only where people are sorted whose scores are NaN, its order is left to chance.)
    With ``squeeze=False`` that operator takes 1-based frames for 0-based ones: skeletons come one frame late, or it
    fails. This does neither.

    Parameters
    ----------
    annotation
        The clip, with `frame_inds` [N] and `total_frames`. It is not changed. A bool mask [N] in it, `anno_inds`,
        chooses among the rows.
    keypoint
        The skeletons [N, V, 3], from a kpfile. None: the clip carries its own, as PYSKL's ``--compress`` writes it.
    box_thr
        Take only rows with a `box_score` of at least this, compared in float32, as `valid` was counted. PYSKL
        compares in float16: at 0.8 and 0.9 a few rows differ. If there is `anno_inds` as well, a row has to pass both.
    squeeze
        Leave frames without a skeleton out: T counts the others. False: frames stand where the video has them, and T
        is the video's `total_frames`.
    max_person
        If some frame has more people, then in every frame the people are sorted by the sum of their joints' scores
        (in float16, the highest first, equal ones in file order, NaN last), and those beyond are cut. Otherwise people
        stay in file order.
    base
        The number in `frame_inds` of the video's first frame. None: 0 if a 0 is among them; 1 if their maximum is
        `total_frames`; if neither, 1 for a record of an index (it has `raw_file`, `valid` or `box_score`), else 0.

    Returns
    -------
    dict
        The fields of the clip, with

        - `keypoint` [M, T, V, 2] (px) and `keypoint_score` [M, T, V] in float16, zero where nobody is,
        - `total_frames`, T,
        - `frame_numbers` [T], the frame of the video, from 0, that each frame here is: what undoes squeeze. In int64,
          for an int16 overflows as soon as one computes with it,
        - `box_score` [M, T], if the clip has box scores: beside the skeletons they belong to,
        - `num_person`, M, only if people were cut, as the operator has it.

        `frame_inds`, `anno_inds` and `valid` are left out: they are about rows that are no more.

    Raises
    ------
    FormatError
        The fields contradict each other or are not of this form. The clip and the field are named.
    ValueError
        `base` or `max_person` is out of its range.

    Warns
    -----
    UserWarning
        There is no row (left): the clip is empty, M = 0. Or there are NaNs, which are passed through.

    Examples
    --------
    >>> record = pysklnb.load(pysklnb.sample("k400_hrnet"))[0]
    >>> skeletons = pysklnb.load(pysklnb.sample("k400_kpfiles")).clip(record["frame_dir"])["keypoint"]
    >>> record["total_frames"], skeletons.shape, record["frame_inds"][:5].tolist()
    (120, (104, 17, 3), [1, 1, 3, 3, 5])
    >>> clip = pysklnb.decompress(record, skeletons)
    >>> clip["total_frames"], clip["keypoint"].shape, clip["frame_numbers"][:3].tolist()
    (53, (2, 53, 17, 2), [0, 2, 4])
    >>> pysklnb.decompress(record, skeletons, squeeze=False)["keypoint"].shape
    (2, 120, 17, 2)
    """
    if base not in (None, 0, 1):
        raise ValueError(f"base: found {base!r}, expected 0, 1, or None to find it from the clip.")
    _check_is_annotation(annotation, "decompress(annotation, keypoint)")
    if max_person < 1:
        raise ValueError(f"max_person: found {max_person!r}, expected 1 or more.")
    fields = dict(annotation)
    skeletons, frames, total, base = rows_of(fields, keypoint, base)
    N, V, _ = skeletons.shape
    boxes = chosen = None
    if "box_score" in fields or box_thr is not None:
        boxes = _values(fields, "box_score", "f", (N,))
    if "anno_inds" in fields:
        chosen = _values(fields, "anno_inds", "b", (N,))
    if boxes is not None and box_thr is not None:
        sure = boxes.astype(np.float32) >= np.float32(box_thr)
        chosen = sure if chosen is None else chosen & sure
    if chosen is not None:
        skeletons, frames = skeletons[chosen], frames[chosen]
        boxes = None if boxes is None else boxes[chosen]
        N = len(frames)
    _warn_of_oddities(fields, skeletons)

    # Rows of a frame follow each other: a slot is the distance to the first of them.
    is_edge = np.ones(N + 1, bool)
    np.not_equal(frames[1:], frames[:-1], out=is_edge[1:N])
    edges = is_edge.nonzero()[0]
    people = edges[1:] - edges[:-1]
    order = np.arange(N)
    slots = order - edges[:-1].repeat(people)
    if squeeze:
        numbers = frames[edges[:-1]]
        columns = np.arange(len(people)).repeat(people)
    else:
        numbers = np.arange(base, total + base)
        columns = frames - base
    most = int(people.max(initial=0))
    if most > max_person:
        with np.errstate(over="ignore", invalid="ignore"):
            sums = skeletons[..., 2].sum(axis=-1)
        # float32 has the same order and is sorted sooner.
        order = np.lexsort((-sums.astype(np.float32), frames))

    # Which row stands where. Row N is nobody; who is cut goes into one slot more than there are.
    M, T = min(most, max_person), len(numbers)
    rows = np.full((M + 1, T), N)
    rows.put(np.minimum(slots, M) * T + columns, order)
    rows = rows[:M]

    joints = skeletons.view(_JOINT)[..., 0]
    pixels = _with_nobody(joints["xy"]).take(rows, axis=0)
    for key in _OF_ROWS:
        fields.pop(key, None)
    fields |= {
        "keypoint": pixels.view(np.float16).reshape(M, T, V, 2),
        "keypoint_score": _with_nobody(joints["score"]).take(rows, axis=0),
        "total_frames": T,
        "frame_numbers": numbers.astype(np.int64) - base,
    }
    if boxes is not None:
        fields["box_score"] = _with_nobody(boxes).take(rows)
    if most > max_person:
        fields["num_person"] = M
    return fields


# What is about rows. An older form of the index has `valid` in flat keys.
_OF_ROWS = ("frame_inds", "anno_inds", "valid", *(f"valid@{score}" for score in _VALID_AT))


def compress(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a 2D clip of the normal form into the compressed one, which carries its skeletons.

    `decompress` gives the clip back (in float16), but for frames without people, which ``squeeze=False`` brings back
    too, and for slots: people of a frame move up into slots that nobody has. If a frame has more than ten people, give
    it a `max_person` that leaves room for them.

    Parameters
    ----------
    annotation
        The clip, with `keypoint` [M, T, V, 2] (px) and `keypoint_score` [M, T, V], and perhaps with `box_score`
        [M, T] and `frame_numbers` [T], both as `decompress` gives them. It is not changed.

    Returns
    -------
    dict
        The fields of the clip, with

        - `keypoint` [N, V, 3] in float16: x, y, score of those who are there. Who has nothing but zeros is not,
        - `frame_inds` [N] in int16 (int32 for a video of more than 32,767 frames): from 0, as PYSKL's
          ``--compress`` has it; from 1 for what `decompress` takes for a record of an index,
        - `box_score` [N] in float16 and `valid`, if there are box scores,
        - `total_frames`, up to the last of the `frame_numbers`.

        Rows are in the order of frames, and in a frame in the order of falling box scores; without box scores in the
        order of slots, so that people who were followed stay apart.

    Raises
    ------
    FormatError
        The fields contradict each other or are not of this form. The clip and the field are named.

    Examples
    --------
    >>> clip = {"frame_dir": "mine", "keypoint": np.ones((2, 30, 17, 2)), "keypoint_score": np.ones((2, 30, 17))}
    >>> small = pysklnb.compress(clip)
    >>> small["keypoint"].shape, small["frame_inds"][:5].tolist()
    ((60, 17, 3), [0, 0, 1, 1, 2])
    >>> pysklnb.decompress(small)["keypoint"].shape
    (2, 30, 17, 2)
    """
    _check_is_annotation(annotation, "compress(annotation)")
    fields = dict(annotation)
    keypoint = _array(fields.get("keypoint"))
    if keypoint.ndim != 4 or keypoint.shape[-1] != 2 or keypoint.dtype.kind not in "fiu":
        raise _fault(fields, "keypoint", _kind(fields.get("keypoint")), "numbers [M, T, V, 2]: x, y")
    M, T, V, _ = keypoint.shape
    score = _values(fields, "keypoint_score", "fiu", (M, T, V))
    if fields.get("total_frames", T) != T:
        raise _fault(fields, "total_frames", repr(fields["total_frames"]), f"{T}, the frames of keypoint")
    numbers = np.arange(T)
    if "frame_numbers" in fields:
        numbers = _values(fields, "frame_numbers", "iu", (T,)).astype(np.intp)
        if (numbers < 0).any() or (numbers[1:] <= numbers[:-1]).any():
            raise _fault(fields, "frame_numbers", "others", "rising numbers of the video's frames, from 0")
    total = int(numbers[-1]) + 1 if T else 0
    skeletons = np.concatenate((keypoint, score[..., np.newaxis]), axis=-1).astype(np.float16)
    present: _Array = np.any(skeletons, axis=(2, 3))
    boxes = None
    if "box_score" in fields:
        boxes = _values(fields, "box_score", "f", (M, T)).astype(np.float16)
        present |= boxes != 0

    t, m = present.T.nonzero()
    if boxes is not None:
        order = np.lexsort((-boxes[m, t], t))
        t, m = t[order], m[order]
        boxes = boxes[m, t]
        left = {score: t[boxes.astype(np.float32) >= np.float32(score)] for score in _VALID_AT}
        fields |= {"box_score": boxes, "valid": {score: len(np.unique(frames)) for score, frames in left.items()}}
    for key in ("keypoint_score", "frame_numbers", "anno_inds"):
        fields.pop(key, None)
    frame_inds = numbers[t] + is_of_an_index(fields)
    return fields | {
        "keypoint": skeletons[m, t],
        "frame_inds": frame_inds.astype(frame_dtype(total)),
        "total_frames": total,
    }


# ---------------------------------------------------------------------------------------------------------------
# What a clip has to be


def _check_is_annotation(annotation: Any, call: str) -> None:
    if not isinstance(annotation, Mapping):
        raise TypeError(f"{call}: found {type(annotation).__name__} as the annotation, expected a dict")


def rows_of(
    fields: _Fields, keypoint: Any = None, base: int | None = None
) -> tuple[npt.NDArray[np.float16], _Array, int, int]:
    """Check a compressed clip; return the skeletons [N, V, 3], their frames [N], total_frames, and the base."""
    skeletons = _skeletons(fields, fields.get("keypoint") if keypoint is None else keypoint)
    frames = _values(fields, "frame_inds", "iu", (len(skeletons),)).astype(np.intp)
    return skeletons, frames, *_frame_range(fields, frames, base)


def frame_dtype(total: int) -> type[np.signedinteger[Any]]:
    """Give the dtype of `frame_inds`: that of Kinetics, if so many frames can be counted in it."""
    return np.int16 if total < 2**15 else np.int32


def _skeletons(fields: _Fields, keypoint: Any) -> npt.NDArray[np.float16]:
    """Return the rows of a compressed clip in float16, C-contiguous."""
    rows = _array(keypoint)
    if rows.ndim != 3 or rows.shape[-1] != 3 or rows.dtype.kind not in "fiu":
        expected = "numbers [N, V, 3]: x, y, score"
        if keypoint is None:
            expected += ". Those of an index are in kpfiles: decompress(annotation, keypoint)"
        elif rows.ndim == 4:
            expected += ". This clip is in the normal form already"
        raise _fault(fields, "keypoint", _kind(keypoint), expected)
    return np.ascontiguousarray(rows, np.float16)


def _values(fields: _Fields, key: str, kinds: str, shape: tuple[int, ...]) -> _Array:
    """Return a field that has to be an array of this shape, and of a dtype of these kinds."""
    values = _array(fields.get(key))
    if values.shape != shape or (values.size and values.dtype.kind not in kinds):
        what = {"b": "bools", "f": "floats", "iu": "ints", "fiu": "numbers"}[kinds]
        raise _fault(fields, key, _kind(fields.get(key)), f"{what} of shape {shape}, as keypoint has it")
    return values


def _frame_range(fields: _Fields, frames: _Array, base: int | None) -> tuple[int, int]:
    """Check the frames' numbers; return how many frames the video has, and the number of its first one.

    All rows of the clip are looked at, chosen or not: the choice must not move the rest.
    """
    total = fields.get("total_frames")
    if not isinstance(total, (int, np.integer)) or total < 0:
        raise _fault(fields, "total_frames", repr(total), "the number of frames of the video")
    total = int(total)
    if not len(frames):
        return total, base or 0
    falls = frames[1:] < frames[:-1]
    if falls.any():
        row = int(falls.argmax()) + 1
        words = f"{frames[row]} after {frames[row - 1]}, in row {row}"
        raise _fault(fields, "frame_inds", words, "numbers that never fall. Sort the rows, keypoint's with them")
    first, last = int(frames[0]), int(frames[-1])
    found = int(first != 0 and (last == total or is_of_an_index(fields))) if base is None else base
    if first < found or last >= total + found:
        ranges = " or ".join(f"{start} to {start + total - 1}" for start in ((0, 1) if base is None else (base,)))
        raise _fault(fields, "frame_inds", f"{first} to {last}", f"{ranges}, for total_frames is {total}")
    return total, found


def is_of_an_index(fields: Mapping[str, Any]) -> bool:
    """Whether this is, or is to be, a record as Kinetics' index has them: it counts frames from 1."""
    return not {"raw_file", "valid", "box_score"}.isdisjoint(fields)


def _warn_of_oddities(fields: _Fields, skeletons: npt.NDArray[np.float16]) -> None:
    if not len(skeletons):
        warnings.warn(f"clip {_name(fields)}: no skeleton is left, so the clip is empty (M = 0).", stacklevel=3)
    # But for the sign, the bits of a NaN are a number beyond infinity's: found far sooner than with isnan.
    if (skeletons.view(np.uint16) & 0x7FFF).max(initial=0) > 0x7C00:
        number = int(np.isnan(skeletons).any(axis=(1, 2)).sum())
        warnings.warn(f"clip {_name(fields)}: NaN in {number} of {len(skeletons)} skeletons.", stacklevel=3)


def _with_nobody(rows: _Array) -> _Array:
    """Copy rows, and add one of zeros: what a slot holds that nobody has."""
    copy = np.zeros((len(rows) + 1, *rows.shape[1:]), rows.dtype)
    copy[:-1] = rows
    return copy


def _name(fields: _Fields) -> str:
    return repr(fields.get("frame_dir", fields.get("filename", "without a name")))


def _array(value: Any) -> _Array:
    try:
        return np.asarray(value)
    except ValueError:  # lists of different lengths
        return np.asarray(None)


def _kind(value: Any) -> str:
    array = _array(value)
    if array.dtype == object and isinstance(value, (list, tuple)):
        return "lists that are no array"
    return "none" if value is None else f"{array.dtype} of shape {array.shape}"


def _fault(fields: _Fields, key: str, found: str, expected: str) -> FormatError:
    return FormatError(f"clip {_name(fields)}: {key}: found {found}, expected {expected}.")
