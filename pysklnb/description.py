"""Say in words what a data set is, from what is known without reading an array."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from . import layouts
from .cards import catalog
from .sources import ArrayHandle

# What the documented form asks for, and where: all clips, clips in 2D, or records of the Kinetics index.
_ALWAYS = ("frame_dir", "total_frames", "label")
_IN_2D = ("img_shape", "keypoint_score")
_IN_INDEX = ("frame_inds", "box_score", "valid")


@dataclass(frozen=True)
class Description:
    """A headline and rows of (what, words); text in a terminal, a table in a notebook."""

    headline: str
    rows: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        width = max((len(what) for what, _ in self.rows), default=0)
        return "\n".join([self.headline, *(f"  {what:{width}}  {words}" for what, words in self.rows)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left;white-space:nowrap;vertical-align:top">{escape(what)}</th>'
            f'<td style="text-align:left">{escape(words)}</td></tr>'
            for what, words in self.rows
        )
        return f"<p><b>{escape(self.headline)}</b></p><table>{rows}</table>"


@dataclass(frozen=True)
class Outline:
    """What a data set knows of itself without reading an array.

    `clips` are the annotations that are there, `count` is their number with those that are None; `ids` are the ids
    of the clips; `files` and `stored` are number and bytes of the files; `selected_from` is the number of clips that
    this selection was made from, None for a whole data set.
    """

    name: str
    container: str
    count: int
    clips: Sequence[Mapping[str, Any]]
    ids: Set[Any]
    splits: Mapping[str, Sequence[Any]]
    extra: Sequence[str]
    dataset: str | None
    files: int
    stored: int
    selected_from: int | None
    synthetic: bool


def describe(outline: Outline) -> Description:
    """Say an outline in words."""
    clips = outline.clips
    arrays = _arrays(clips)
    shapes: Counter[tuple[int, ...]] = Counter()
    for (key, shape, _), count in arrays.items():
        if key == "keypoint":
            shapes[shape] += count
    rows = [("form", _form(outline)), ("clips", _clips(outline))]
    if outline.splits:
        rows.append(("splits", _splits(outline)))
    rows += _keys(clips, shapes)
    rows += _shapes(clips, shapes)
    layout = _layout(outline.dataset, shapes)
    if layout:
        rows.append(("layout", layout[1]))
    rows += _dtypes(arrays)
    rows += _labels(outline)
    rows += _people(shapes)
    rows += _pictures(clips)
    rows.append(("size", _size(outline.stored, arrays)))
    if outline.synthetic:
        rows.append(("note", "a bundled miniature: the motion in it is synthetic, no person was recorded"))
    return Description(f"{outline.name}: {_headline(outline, shapes, layout)}", tuple(rows))


# How often there is an array of this key, shape and dtype.
_Arrays = Counter[tuple[str, tuple[int, ...], np.dtype[Any]]]


def _arrays(clips: Sequence[Mapping[str, Any]]) -> _Arrays:
    return Counter(
        (key, value.shape, value.dtype)
        for clip in clips
        for key, value in clip.items()
        if isinstance(value, (ArrayHandle, np.ndarray))
    )


def _headline(outline: Outline, shapes: Counter[tuple[int, ...]], layout: tuple[str, str] | None) -> str:
    number = number_of(outline.count, "clip")
    if not outline.clips:
        return number
    if not shapes:
        return f"{number} without keypoints" + (" (an index: they are in kpfiles)" if _is_index(outline.clips) else "")
    axes = [shape[-2:] for shape in shapes]
    if len({len(shape) for shape in shapes}) == 1 and len(next(iter(shapes))) == 3:
        return f"{number} of compressed skeletons"
    joints = _range((v for v, _ in axes), "joint")
    dimensions = "/".join(sorted({f"{c}D" for _, c in axes}))
    return f"{number} of {dimensions} skeletons with {joints}" + (f" ({layout[0]})" if layout and layout[0] else "")


def _form(outline: Outline) -> str:
    words = {
        "dict": "a dict of split and annotations",
        "list": "a list of annotations",
        "annotation": "a single annotation",
        "kpfile": "a kpfile: ids and compressed keypoints",
        "folder": f"a folder of {number_of(outline.files, 'file')}",
    }[outline.container]
    if outline.extra:
        words += f", and {', '.join(map(str, outline.extra))}"
    if outline.selected_from is not None:
        words += f"; this is a selection of {outline.count:,} of {number_of(outline.selected_from, 'clip')}"
    return words


def _clips(outline: Outline) -> str:
    words, present = f"{outline.count:,}", len(outline.clips)
    if present < outline.count:
        words += f", {outline.count - present:,} of them None"
    repeated = present - len(outline.ids)
    return words + (f"; {repeated:,} without an id, or with that of another clip" if repeated else "")


def _splits(outline: Outline) -> str:
    words = ", ".join(f"{name} {len(ids):,}" for name, ids in outline.splits.items())
    known = {name for ids in outline.splits.values() for name in ids if isinstance(name, (str, int, np.integer))}
    absent, outside = len(known - outline.ids), len(outline.ids - known)
    if absent:
        words += f"; {number_of(absent, 'id')} without a clip"
    return words + (f"; {number_of(outside, 'clip')} in no split" if outside else "")


def _keys(clips: Sequence[Mapping[str, Any]], shapes: Counter[tuple[int, ...]]) -> list[tuple[str, str]]:
    counts: Counter[str] = Counter()
    for keys, count in Counter(map(tuple, clips)).items():
        counts.update(dict.fromkeys(keys, count))
    everywhere = [str(key) for key, count in counts.items() if count == len(clips)]
    words = ", ".join(everywhere)
    for key, count in counts.items():
        if count < len(clips):
            words += f"; {key} in {count:,} of {len(clips):,}"
    rows = [("keys", words or "none")]
    if any(len(shape) == 4 for shape in shapes):
        wanted = [*_ALWAYS, *(_IN_2D if any(shape[-1] == 2 for shape in shapes) else ())]
    elif _is_index(clips):
        wanted = [*_ALWAYS, *_IN_INDEX, "raw_file"]
    else:
        wanted = []
    missing = [key for key in wanted if key not in counts]
    return rows + ([("missing", f"{', '.join(missing)} (documented for such clips)")] if missing and clips else [])


def _is_index(clips: Sequence[Mapping[str, Any]]) -> bool:
    """Whether these are records of the Kinetics index, whose keypoints are in kpfiles."""
    return any("frame_inds" in clip for clip in clips[:1])


def _shapes(clips: Sequence[Mapping[str, Any]], shapes: Counter[tuple[int, ...]]) -> list[tuple[str, str]]:
    rows = []
    full = [shape for shape in shapes if len(shape) == 4]
    if full:
        m, t, v, c = zip(*full, strict=True)
        meaning = {2: "x, y in pixels", 3: "x, y, z, documented in metres"}
        coordinates = " or ".join(f"{n}: {meaning.get(n, 'unknown')}" for n in sorted(set(c)))
        words = f"M {_range(m, 'person slot')}, T {_range(t, 'frame')}, V {_range(v, 'joint')}, C {coordinates}"
        rows.append(("[M, T, V, C]", words))
    compressed = [shape for shape in shapes if len(shape) == 3]
    if compressed:
        n, v, c = zip(*compressed, strict=True)
        words = f"N {_range(n, 'skeleton')}, V {_range(v, 'joint')}, C {_range(c)} (x, y, score); compressed"
        rows.append(("[N, V, C]", words))
    other = sum(count for shape, count in shapes.items() if len(shape) not in (3, 4))
    lists = sum("keypoint" in clip for clip in clips) - shapes.total()
    if lists:
        rows.append(("keypoint", f"in {number_of(lists, 'clip')} no array: a list, perhaps"))
    if other:
        rows.append(("keypoint", f"{other:,} with neither 4 nor 3 axes"))
    return rows


def _layout(dataset: str | None, shapes: Counter[tuple[int, ...]]) -> tuple[str, str] | None:
    """The name of the layout, or "", and the sentence on it."""
    if dataset:
        name = catalog[dataset].layout
        return name, f"{name}, as {dataset} has it"
    axes = {shape[-2:] for shape in shapes if len(shape) in (3, 4)}
    if len(axes) != 1:
        return ("", "several: " + ", ".join(f"V {v}, C {c}" for v, c in sorted(axes))) if axes else None
    v, c = axes.pop()
    guess = layouts.guess(v, c)
    return guess.name if guess else "", f"{guess.name if guess else 'unknown'}: {layouts.guess_reason(v, c)}"


def _dtypes(arrays: _Arrays) -> list[tuple[str, str]]:
    found: dict[str, set[str]] = {}
    for key, _, dtype in arrays:
        found.setdefault(str(key), set()).add(dtype.name)
    words = ", ".join(f"{key} {'/'.join(sorted(names))}" for key, names in found.items())
    return [("dtypes", words)] if words else []


def _labels(outline: Outline) -> list[tuple[str, str]]:
    labels = [clip["label"] for clip in outline.clips if isinstance(clip.get("label"), (int, float, str, np.generic))]
    if not labels:
        return []
    kinds = sorted({type(label).__name__ for label in labels})
    words = f"{len(set(labels)):,} different, {'/'.join(kinds)}"
    numbers = [int(label) for label in labels if isinstance(label, (int, np.integer))]
    if numbers:
        words += f", from {min(numbers)} to {max(numbers)}"
    if outline.dataset:
        words += f"; {outline.dataset} has {catalog[outline.dataset].classes} classes"
    return [("label", words)]


def _people(shapes: Counter[tuple[int, ...]]) -> list[tuple[str, str]]:
    people: Counter[int] = Counter()
    for shape, count in shapes.items():
        if len(shape) == 4:
            people[shape[0]] += count
    if not people:
        return []
    if len(people) <= 6:
        return [
            (
                "person slots",
                ", ".join(f"{m} in {number_of(count, 'clip')}" for m, count in sorted(people.items())),
            )
        ]
    median = int(np.median(list(people.elements())))
    none = f"; none in {number_of(people[0], 'clip')}" if people[0] else ""
    return [("person slots", f"{min(people)} to {max(people)} a clip, median {median}{none}")]


def _pictures(clips: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    sizes = Counter(str(clip["img_shape"]) for clip in clips if isinstance(clip.get("img_shape"), (tuple, list)))
    if not sizes:
        return []
    (most, _), *others = sizes.most_common()
    words = f"{most} (height, width) in all" if not others else f"{len(sizes):,} sizes, most often {most}"
    return [("img_shape", words)]


def _size(stored: int, arrays: _Arrays) -> str:
    total = sum(math.prod(shape) * dtype.itemsize * count for (_, shape, dtype), count in arrays.items())
    words = f"{_bytes(total)} if all arrays were read"
    return words + (f"; {_bytes(stored)} on disk" if stored else "")


def number_of(count: int, unit: str) -> str:
    """Say how many there are: "1 clip", "1,200 clips"."""
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def _range(numbers: Iterable[int], unit: str = "") -> str:
    found = set(numbers)
    low, high = min(found), max(found)
    words = f"{low:,} to " if low != high else ""
    return words + (number_of(high, unit) if unit else f"{high:,}")


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:,.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:,.1f} {unit}"
