"""Say everything that is wrong with a skeleton file, where, and what to do.

A rule is one entry of `RULES`, in `report`, and one place in the code below that reports it.
"""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt

from . import layouts
from .cards import Card, catalog
from .compression import is_of_an_index
from .dataset import Dataset, open_dataset, with_bar
from .description import number_of
from .kpfiles import KpfileStore
from .layouts import Layout
from .measures import MOST_SLOTS, Bounds, absent_joints, bounds, count_swaps, widened
from .reader import read
from .report import RULES, UNOPENED, Finding, Findings, Report, Rule
from .sources import ArrayHandle, FormatError, read_together
from .writer import check as check_writable

__all__ = ["RULES", "UNOPENED", "Finding", "Report", "Rule", "validate"]

_Array = npt.NDArray[Any]
_Record = Mapping[str, Any]

# Detectors give scores to 1.024 in official files (measured): what is above 1.1 is something else than a probability.
SCORE_RANGE = (0.0, 1.1)
# Official files reach 211 px beyond the picture (measured). Beyond its whole width or height, units or size are wrong.
OUTSIDE = 1.0
# x beyond the width by a tenth, in all of a clip, and yet within the height: people who only leave the picture do not.
SWAPPED = 1.1
# Pixels are larger than this within a few frames; what stays below, in a picture of hundreds of pixels, is a share.
NORMALISED = 2.0
# No camera for 3D skeletons sees so many metres: beyond are pixels, or millimetres.
FARTHEST = 50.0
# The step between two float16 numbers is 1 from here on.
COARSE = 1024
# Labels, sizes and frame numbers are at home in 64 bits; Python's ints can be larger than any text shows.
_LARGEST = 2**63 - 1


# ---------------------------------------------------------------------------------------------------------------
# The validator


def validate(
    x: Any,
    *,
    dataset: str | None = None,
    layout: str | Layout | None = None,
    num_classes: int | None = None,
    store: Mapping[Any, Any] | str | os.PathLike[str] | None = None,
) -> Report:
    """Say everything that is wrong with a file or with Python objects: where it is, and what to do.

    All faults are told at once. Clips are gone through a few at a time and each array is read once, so that a file of
    any size can be validated; the input is never changed.

    Parameters
    ----------
    x
        A path, a `Dataset`, a dict or list in the documented form, or a single annotation.
    dataset
        A name in `pysklnb.catalog`: validate against what that data set promises. Nothing is inferred from the name of
        the file.
    layout
        The skeleton layout that the joints are meant to have, a name or a `Layout`.
    num_classes
        How many classes there are: labels from 0 to `num_classes` - 1 are right.
    store
        For an index of Kinetics: a `KpfileStore`, or the folder of the kpfiles, or any mapping from id to skeletons
        [N, V, 3] or to a dict that has them as ``keypoint``. Without it, the skeletons are not looked at.

    Returns
    -------
    Report
        The findings. A file that cannot be read gives a report with that one finding.

    Raises
    ------
    KeyError, ValueError
        There is no `dataset` or `layout` of that name; the nearest are listed.
    FileNotFoundError
        There is no folder `store`.

    Examples
    --------
    >>> report = pysklnb.validate({"frame_dir": "mine", "label": 3, "total_frames": 60})
    >>> report.ok
    False
    >>> print(report)
    in memory: 1 clip, 1 error, 0 warnings, 0 notes
      error [keypoint-missing]: a clip has no keypoint
          keypoint of mine: found the keys 'frame_dir', 'label', 'total_frames'
          What to do: Add the array [M, T, V, C] as 'keypoint'.
    """
    card = None if dataset is None else catalog[dataset]
    meant = None if layout is None else layouts.get(layout)
    findings = Findings()
    try:
        ds = _open(x, findings)
    except (OSError, ValueError) as error:
        is_path = isinstance(x, (str, os.PathLike))
        hint = "Check the path, and that you may read it." if isinstance(error, OSError) else ""
        findings.add("unreadable" if is_path and not _is_readable(x) else "form", "", str(error), hint=hint)
        return findings.report(str(x) if is_path else "in memory", 0)
    if card is None and ds.dataset:
        card = catalog[ds.dataset]
    if meant is None and card:
        meant = layouts.get(card.layout)
    classes = card.classes if num_classes is None and card else num_classes
    if isinstance(store, (str, os.PathLike)):
        store = KpfileStore(store, ds)
    # What is beyond float32 is infinite for a model too, and is told as such.
    with np.errstate(all="ignore"):
        _Validator(ds, findings, card, meant, classes, store).run()
    return findings.report(ds.name, len(ds))


def _open(x: Any, findings: Findings) -> Dataset:
    try:
        return open_dataset(x, tell=findings.add)
    except FormatError:
        # An annotation in the making: no id and no keypoint yet, by which `load` would know it.
        if isinstance(x, Mapping) and _DOCUMENTED.issuperset(x):
            return Dataset([x], {}, container="annotation")
        raise


def _is_readable(path: str | os.PathLike[str]) -> bool:
    """Whether it was not the reader that failed: a good pickle can hold something else than skeletons."""
    try:
        read(path)
    except (OSError, ValueError):
        return False
    return True


# What each record of the Kinetics index has. Of what other data sets promise, each key has a rule of its own.
_PROMISED_INDEX = ("frame_inds", "box_score", "valid")
_DOCUMENTED = {
    *("frame_dir", "total_frames", "img_shape", "original_shape", "label", "keypoint", "keypoint_score"),
    *(*_PROMISED_INDEX, "raw_file"),
}

_PART = re.compile(r"_?(train|eval|val|test|dev)(ing|uation|idation|id)?", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_SPLITS = sorted({name for card in catalog.values() for name in card.splits})
_NTU_NAME = re.compile(r"S\d{3}C\d{3}P\d{3}R\d{3}A(\d{3})")


class _Keys(NamedTuple):
    """What the keys of an annotation say, worked out once for all annotations that have the same."""

    is_index: bool  # it belongs to an index: its skeletons are compressed, or elsewhere
    is_bare: bool  # an id and keypoints, and nothing else
    flat: tuple[str, ...]  # valid@0.5 and its like
    extra: tuple[Any, ...]  # those of the writer's own
    missing: tuple[str, ...]  # promised, and not there


class _Validator:
    """One going through a data set: what is meant, what was seen on the way, and what is only known at the end."""

    def __init__(
        self,
        ds: Dataset,
        findings: Findings,
        card: Card | None,
        layout: Layout | None,
        classes: int | None,
        store: Mapping[Any, Any] | None,
    ) -> None:
        self.container, self.id_key, self.extra = ds.container, ds._id_key, ds._extra
        self.is_in_memory = not ds._sources
        self.findings, self.card, self.layout, self.classes, self.store = findings, card, layout, classes, store
        self.splits = ds._own_split
        self.records = [ds._records[place] for place in ds._places]
        self.clips = [record for record in self.records if isinstance(record, Mapping)]
        self.some_have_labels = any("label" in clip for clip in self.clips)
        self.known_keys: dict[tuple[str, ...], _Keys] = {}
        self.places: dict[str, int] = {}  # of the ids that were met
        self.used: set[Any] | None = None  # the ids that splits have
        self.labels: set[int] = set()
        self.first_joints: tuple[int, str] | None = None  # V of the first clip, and where that is
        self.people: Counter[int] = Counter()
        self.steps: Counter[tuple[int, int]] = Counter()

    def run(self) -> None:
        if not self.records:
            self.findings.add("no-clips", "annotations", "found an empty list")
        self.check_splits()
        clips = with_bar(_looked_at(self.records), "clips", total=len(self.records))
        for number, (record, seen) in enumerate(clips):
            where = "" if self.container == "annotation" else f"annotations[{number}]"
            if record is None:
                self.findings.add("clip-none", where, "found None, expected an annotation")
            elif not isinstance(record, Mapping):
                self.findings.add("clip-not-dict", where, f"found {_kind(record)}, expected a dict")
            else:
                _Clip(self, record, seen, where, number).check()
        self.check_labels()
        self.tell_the_rest()

    def keys_of(self, record: _Record) -> _Keys:
        keys = tuple(record)
        known = self.known_keys.get(keys)
        if known is None:
            flat = tuple(key for key in keys if isinstance(key, str) and key.startswith("valid@"))
            promised = _PROMISED_INDEX if self.card and self.card.name == "k400_hrnet" else ()
            known = self.known_keys[keys] = _Keys(
                is_index="frame_inds" in keys or bool(flat),
                is_bare=self.container in ("kpfile", "folder", "list") and set(keys) == {"frame_dir", "keypoint"},
                flat=flat,
                extra=tuple(key for key in keys if key not in _DOCUMENTED),
                missing=tuple(key for key in promised if key not in keys),
            )
        return known

    # -- splits

    def check_splits(self) -> None:
        add = self.findings.add
        if not self.splits:
            labelled_or_more = any(not self.keys_of(clip).is_bare for clip in self.clips)
            if self.container in ("dict", "list", "folder") and labelled_or_more:
                alike = difflib.get_close_matches("split", map(str, self.extra), n=1)
                found = f"found no split, but {_kind(alike[0])}" if alike else "found no split"
                hint = "Call it 'split'." if alike else ""
                add("no-split", "split" if self.container == "dict" else "", found, hint=hint)
            return
        known = {clip.get(self.id_key) for clip in self.clips if _is_id(clip.get(self.id_key))}
        # The places of the ids, in the order that they have there.
        members: dict[Any, dict[Any, str]] = {}
        for name, ids in self.splits.items():
            where = f"split[{_kind(name)}]"
            if not isinstance(ids, (list, tuple, np.ndarray)) or (isinstance(ids, np.ndarray) and ids.ndim != 1):
                add("split-not-list", where, f"found {_kind(ids)}, expected a list of ids")
                continue
            if len(ids) == 0:
                add("split-empty", where, "found no ids")
            members[name] = self.check_ids(ids, where, known)
        self.used = set().union(*members.values())
        if len(self.splits) == 1:
            add("split-single", f"split[{_kind(next(iter(self.splits)))}]", "found no other split")
        self.check_names(list(self.splits))
        self.check_leaks(members)

    def check_ids(self, ids: Iterable[Any], split: str, known: set[Any]) -> dict[Any, str]:
        add, places = self.findings.add, dict[Any, str]()
        for number, item in enumerate(ids):
            where = f"{split}[{number}]"
            if not _is_id(item):
                add("split-not-list", where, f"found {_kind(item)}, expected an id")
            elif item in places:
                add("split-repeated-id", where, f"found {_kind(item)}, as at {places[item]}")
            else:
                places[item] = where
                if item not in known:
                    alike = next((name for name in _without_path(item) if name in known), None)
                    hint = f"Write it as the clip does: {_kind(alike)}." if alike else ""
                    add("split-unknown-id", where, f"found {_kind(item)}, which no clip has", hint=hint)
        return places

    def check_names(self, names: list[Any]) -> None:
        if self.card:
            if set(names) != set(self.card.splits):
                found, expected = ", ".join(map(_kind, names[:8])), ", ".join(map(repr, self.card.splits))
                self.findings.add("dataset-splits", "split", f"found {found}, expected {expected}")
            return
        # A fourth fold, train4, is no slip of the pen.
        numberless = {_DIGITS.sub("", name) for name in _SPLITS}
        for name in names:
            if isinstance(name, str) and _DIGITS.sub("", name) not in numberless:
                short = name[:60].lower()
                same = [official for official in _SPLITS if _fold(official) == _fold(short)]
                alike = difflib.get_close_matches(short, same or _SPLITS, n=1, cutoff=0 if same else 0.7)
                if alike:
                    self.findings.add(
                        "split-name", f"split[{_kind(name)}]", f"found {_kind(name)}, close to {alike[0]!r}"
                    )

    def check_leaks(self, members: dict[Any, dict[Any, str]]) -> None:
        """Folds share clips, the parts of one fold must not."""
        folds = [(_fold(name), name) for name in members if isinstance(name, str) and _PART.search(name)]
        for (is_train, fold), train in folds:
            for other_fold, other in folds:
                if is_train and other_fold == (False, fold):
                    for item, where in members[other].items():
                        if item in members[train]:
                            message = f"found {_kind(item)}, which {members[train][item]} is too"
                            self.findings.add("split-leak", where, message, _shown_id(item))

    # -- what is known at the end

    def check_labels(self) -> None:
        add = self.findings.add
        where = "annotations" if self.container != "annotation" else "label"
        if not self.some_have_labels and not self.card and any(not self.keys_of(clip).is_bare for clip in self.clips):
            add("no-labels", where, "found no label")
        if self.container == "annotation" or not self.labels:
            return
        low, high = min(self.labels), max(self.labels)
        number = len([label for label in self.labels if label >= 0])
        if low == 1:
            add("label-from-1", where, f"found labels from 1 to {high}, and none is 0")
        elif number <= high and len(self.labels) > 1:
            add("label-gaps", where, f"found {number:,} of the labels from 0 to {high}")

    def tell_the_rest(self) -> None:
        if self.container != "annotation" and max(self.people, default=0) > 1:
            words = ", ".join(
                f"M = {number} in {number_of(count, 'clip')}" for number, count in sorted(self.people.items())[:8]
            )
            more = f", and up to M = {max(self.people)}" if len(self.people) > 8 else ""
            self.findings.add("people", "annotations", f"found {words}{more}")
        for (base, step), count in self.steps.most_common(3):
            every = "every frame" if step == 1 else f"mostly every {step} frames"
            self.findings.add(
                "frame-inds-base",
                "annotations",
                f"found frames counted from {base}, {every}, in {number_of(count, 'clip')}",
            )


# What the rules look into.
_LOOKED_INTO = ("keypoint", "keypoint_score", "frame_inds", "box_score", "img_shape", "original_shape")
# Clips are looked at a few together: a call of the system, or of numpy, takes as long as a small clip does.
CLIPS_AT_ONCE, BYTES_AT_ONCE = 24, 1_000_000


class _Seen:
    """The arrays of a clip by their keys, and what was measured of many clips together."""

    __slots__ = ("arrays", "bounds", "swaps")

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}  # each is read once; an error if that cannot be done
        self.bounds: dict[str, Bounds] = {}  # of those that have numbers
        self.swaps = 0


def _looked_at(records: Iterable[Any]) -> Iterator[tuple[Any, _Seen]]:
    """Give each record with what was seen in it."""
    batch: list[tuple[Any, _Seen]] = []
    nbytes = 0
    for record in records:
        seen = _Seen()
        if isinstance(record, Mapping):
            for key in _LOOKED_INTO:
                value = record.get(key)
                if isinstance(value, (ArrayHandle, np.ndarray)):
                    seen.arrays[key] = value
                    nbytes += value.nbytes
        batch.append((record, seen))
        if len(batch) == CLIPS_AT_ONCE or nbytes > BYTES_AT_ONCE:
            _look([seen for _, seen in batch])
            yield from batch
            batch, nbytes = [], 0
    _look([seen for _, seen in batch])
    yield from batch


def _look(batch: list[_Seen]) -> None:
    unread = [(seen.arrays, key) for seen in batch for key, value in seen.arrays.items() if type(value) is ArrayHandle]
    for (arrays, key), value in zip(unread, read_together([arrays[key] for arrays, key in unread]), strict=True):
        arrays[key] = value
    places, measured, crowds = [], [], []
    for seen in batch:
        for key, value in seen.arrays.items():
            if isinstance(value, np.ndarray) and value.size and value.dtype.kind == "f":
                if key != "keypoint":
                    value = value[..., np.newaxis]
                elif value.ndim == 4 and 1 < len(value) <= MOST_SLOTS:
                    crowds.append((seen, value))
                if value.ndim > 1:
                    places.append((seen.bounds, key))
                    measured.append(value)
    for (limits, key), found in zip(places, bounds(measured), strict=True):
        limits[key] = found
    for (seen, _), swaps in zip(crowds, count_swaps([keypoint for _, keypoint in crowds]), strict=True):
        seen.swaps = swaps


class _Clip:
    """One annotation under examination."""

    def __init__(self, validator: _Validator, record: _Record, seen: _Seen, where: str, number: int) -> None:
        self.validator, self.record, self.seen, self.where, self.number = validator, record, seen, where, number
        self.id = record.get(validator.id_key)

    def add(self, code: str, key: str, message: str, hint: str = "") -> None:
        where = f"{self.where}.{key}" if self.where and key else self.where or key
        self.validator.findings.add(code, where, message, _shown_id(self.id), hint)

    def check(self) -> None:
        keys = self.validator.keys_of(self.record)
        self.check_id()
        if self.validator.is_in_memory:  # in a file there is nothing but data
            self.check_is_data(keys.extra)
        if self.validator.card:
            self.check_promises(self.validator.card, keys.missing)
        keypoint = self.array("keypoint")
        is_array = isinstance(keypoint, np.ndarray)
        if keys.is_bare and is_array and keypoint.ndim == 3:
            self.check_compressed(keypoint, "keypoint")
            return
        self.check_label()
        if keys.is_index and not (is_array and keypoint.ndim == 4):
            self.check_index(keypoint, keys.flat)
        elif "keypoint" not in self.record:
            self.check_total_frames()
            self.add(
                "keypoint-missing",
                "keypoint",
                f"found {f'the keys {_some_of(self.record)}' if self.record else 'no keys'}",
            )
        elif keypoint is _DAMAGED:
            self.check_total_frames()
        elif self.check_axes(keypoint):
            self.check_skeletons(keypoint)

    def array(self, key: str) -> Any:
        """The value of a key, read if it was in the file."""
        value = self.seen.arrays.get(key)
        if value is None:
            return self.record.get(key)
        if isinstance(value, FormatError):
            self.add("array-damaged", key, str(value))
            return _DAMAGED
        return value

    def bounds_of(self, key: str, array: _Array) -> Bounds:
        return self.seen.bounds.get(key) or bounds([array])[0]

    # -- which clip it is

    def check_id(self) -> None:
        validator, key = self.validator, self.validator.id_key
        if not isinstance(self.id, str) or not self.id:
            found = _kind(self.id) if key in self.record else "none"
            self.add("id-missing", key, f"found {found}, expected a text that is not empty")
            return
        if key == "filename" and self.number == 0:
            self.add("id-in-filename", key, "found filename instead of frame_dir")
        before = validator.places.setdefault(self.id, self.number)
        if before != self.number:
            self.add("id-repeated", key, f"found {_kind(self.id)}, as in annotations[{before}]")
        elif validator.used is not None and self.id not in validator.used:
            self.add("clip-in-no-split", "", f"found {_kind(self.id)} in no split")

    def check_is_data(self, keys: Iterable[Any]) -> None:
        for key in keys:
            try:
                check_writable({key: self.record[key]}, "")
            except FormatError as error:
                self.add("not-data", key if isinstance(key, str) else _kind(key), str(error)[:300])

    def check_promises(self, card: Card, missing: Iterable[str]) -> None:
        for key in missing:
            self.add("dataset-keys", key, f"found no {key}, which {card.name} has")
        if card.name.startswith("ntu") and isinstance(self.id, str):
            match, label = _NTU_NAME.fullmatch(self.id), self.record.get("label")
            if not match:
                self.add("ntu-name", self.validator.id_key, f"found {_kind(self.id)}")
            elif _is_int(label) and label != int(match[1]) - 1:
                self.add("ntu-label", "label", f"found {label}, expected {int(match[1]) - 1} from {match[0]}")

    # -- label, frames, picture

    def check_label(self) -> None:
        if "label" not in self.record:
            if self.validator.some_have_labels or self.validator.card:
                self.add("label-missing", "label", "found none, expected an int")
            return
        label, classes = self.record["label"], self.validator.classes
        if not _is_int(label):
            hint = "Make it a plain int: int(label)." if _is_almost_int(label) else ""
            self.add("label-type", "label", f"found {_kind(label)}, expected an int", hint)
            return
        if isinstance(label, np.integer):
            self.add("label-numpy", "label", f"found numpy's {type(label).__name__}")
        self.validator.labels.add(int(label))
        if label < 0:
            self.add("label-range", "label", f"found {label}, expected 0 or more")
        elif classes is not None and label >= classes:
            self.add("label-range", "label", f"found {label}, expected 0 to {classes - 1} for {classes} classes")

    def check_total_frames(self, people: int | None = None, frames: int | None = None) -> int | None:
        """Compare with T, where it is known; return total_frames if it is one."""
        total = self.record.get("total_frames")
        if not _is_int(total) or total <= 0:
            # Without frames, 0 is the truth, and another rule tells that it is of no use.
            if frames != 0:
                found = _kind(total) if "total_frames" in self.record else "none"
                self.add("total-frames", "total_frames", f"found {found}, expected a positive int")
            return None
        if frames and total != frames:
            hint = "If the axes are [T, M, V, C], swap the first two: keypoint.swapaxes(0, 1), and those of the scores."
            message = f"found {total}, but keypoint has T = {frames}"
            self.add("total-frames-differ", "total_frames", message, hint if total == people else "")
        return int(total)

    def check_img_shape(self, *, required: bool) -> tuple[int, int] | None:
        """Return (height, width), if that is what img_shape is."""
        record = self.record
        if "original_shape" in record:
            original = self.array("original_shape")
            if original is not record.get("img_shape") and original is not _DAMAGED and not _is_size(original):
                self.add("original-shape", "original_shape", f"found {_kind(original)}, expected (height, width)")
        if "img_shape" not in record:
            if required:
                self.add("img-shape", "img_shape", "found none, expected (height, width), two positive ints")
            return None
        shape = self.array("img_shape")
        if _is_size(shape):
            return int(shape[0]), int(shape[1])
        if shape is not _DAMAGED:
            self.add("img-shape", "img_shape", f"found {_kind(shape)}, expected (height, width), two positive ints")
        return None

    # -- skeletons [M, T, V, C]

    def check_axes(self, keypoint: Any) -> bool:
        """Whether keypoint has the form that the other checks need."""
        if not isinstance(keypoint, np.ndarray) or keypoint.dtype.kind not in "fiu":
            self.check_total_frames()
            self.add("keypoint-dtype", "keypoint", f"found {_kind(keypoint)}, expected an array of floats")
            return False
        if keypoint.ndim != 4:
            self.check_total_frames()
            self.add(
                "keypoint-axes", "keypoint", f"found {_kind(keypoint)}, expected [M, T, V, C]", _unfolding(keypoint)
            )
            return False
        if keypoint.shape[3] not in (2, 3):
            self.check_total_frames()
            expected = f"{self.validator.card.dimensions}" if self.validator.card else "2 or 3"
            message = f"found {_kind(keypoint)}, expected [M, T, V, C] with C = {expected}"
            self.add("keypoint-coordinates", "keypoint", message, _reordering(keypoint))
            return False
        if keypoint.dtype.kind != "f":
            self.add("keypoint-dtype", "keypoint", f"found {_kind(keypoint)}, expected floats")
        return True

    def check_skeletons(self, keypoint: _Array) -> None:
        people, frames, joints, dimensions = keypoint.shape
        self.validator.people[people] += 1
        self.check_total_frames(people, frames)
        size = self.check_img_shape(required=dimensions == 2)
        if frames == 0:
            self.add("no-frames", "keypoint", f"found {_kind(keypoint)}")
        if people == 0:
            self.add("no-people", "keypoint", f"found {_kind(keypoint)}")
        card = self.validator.card
        if card and dimensions != card.dimensions:
            expected = f"{card.dimensions}, as {card.name} has it"
            self.add("keypoint-coordinates", "keypoint", f"found C = {dimensions}, expected {expected}")
            return
        self.check_layout(joints, dimensions, "keypoint")
        score = self.check_score(keypoint, required=dimensions == 2)
        if keypoint.size:
            self.check_values(keypoint, score, size)

    def check_layout(self, joints: int, dimensions: int, key: str) -> None:
        layout = self.validator.layout
        if layout:
            if joints != layout.V:
                self.add("layout-differs", key, f"found V = {joints}, but {layout.name} has {layout.V} joints")
            return
        first, where = self.validator.first_joints = self.validator.first_joints or (joints, self.where)
        if joints != first:
            self.add("joints-differ", key, f"found V = {joints}, but {where} has V = {first}")
        elif layouts.guess(joints, dimensions) is None:
            self.add("layout", key, f"found V = {joints}: {layouts.guess_reason(joints, dimensions)}")

    def check_score(self, keypoint: _Array, *, required: bool) -> _Array | None:
        """Return the scores, if they fit the keypoints."""
        expected = list(keypoint.shape[:3])
        if "keypoint_score" not in self.record:
            if required:
                self.add("score-missing", "keypoint_score", f"found none, expected {expected}")
            return None
        score = self.array("keypoint_score")
        if score is _DAMAGED:
            return None
        if not isinstance(score, np.ndarray) or score.dtype.kind not in "fiu":
            self.add("score-dtype", "keypoint_score", f"found {_kind(score)}, expected an array of floats")
            return None
        if score.shape != keypoint.shape[:3]:
            hint = "Drop its last axis: keypoint_score[..., 0]." if score.shape == (*keypoint.shape[:3], 1) else ""
            self.add("score-shape", "keypoint_score", f"found {_kind(score)}, expected {expected}", hint)
            return None
        if score.dtype.kind != "f":
            self.add("score-dtype", "keypoint_score", f"found {_kind(score)}, expected floats")
        return score

    def check_values(self, keypoint: _Array, score: _Array | None, size: tuple[int, int] | None) -> None:
        """Look at the numbers. Clips are small, so what costs time is each call of numpy: most need few of them."""
        low, high = self.bounds_of("keypoint", keypoint)
        lowest = None if score is None else self.check_scores(score, "keypoint_score")
        # NaN is handed on by minimum and maximum: what has finite bounds is finite.
        if not all(map(isfinite, low + high)):
            self.tell_not_finite("keypoint", keypoint)
            return
        # Without a zero between its bounds, no coordinate is zero, and no joint missing.
        zeros = all(least <= 0 <= most for least, most in zip(low, high, strict=True))
        absent = absent_joints(keypoint) if zeros else None
        if absent is not None:
            if not any(low + high):
                self.add("no-joints", "keypoint", f"found zeros only in {_kind(keypoint)}")
                return
            frames = absent.shape[1]
            empty = np.count_nonzero(absent.all(axis=2).all(axis=0))
            if empty:
                message = f"found {empty} of {frames} frames with nobody ({empty / frames:.0%})"
                self.add("empty-frames", "keypoint", message)
        if score is not None and lowest is not None and (lowest <= 0 or absent is not None):
            self.check_halves(score == 0, absent)
        if len(low) == 2:
            self.check_pixels("keypoint", keypoint.dtype, low, high, size)
        else:
            self.check_metres(low, high)
        if self.seen.swaps:
            message = f"found {self.seen.swaps} changes of place from one frame to the next"
            self.add("slots-swap", "keypoint", message)

    def tell_not_finite(self, key: str, values: _Array) -> None:
        bad = np.argwhere(~np.isfinite(widened(values)))
        place = ", ".join(map(str, bad[0]))
        self.add("not-finite", key, f"found {len(bad):,} that are NaN or infinite, the first at [{place}]")

    def check_scores(self, score: _Array, key: str) -> float | None:
        """Return the lowest of the scores, of which there is one at least; None if one is not finite."""
        (low,), (high,) = self.bounds_of(key, score[..., np.newaxis])
        if not (isfinite(low) and isfinite(high)):
            self.tell_not_finite(key, score)
            return None
        self.check_score_range(key, low, high)
        return low

    def check_score_range(self, key: str, low: float, high: float) -> None:
        if low < SCORE_RANGE[0] or high > SCORE_RANGE[1]:
            self.add("score-range", key, f"found scores from {low:.3g} to {high:.3g}, expected 0 to 1")

    def check_halves(self, scoreless: _Array, absent: _Array | None) -> None:
        halves = scoreless if absent is None else scoreless != absent
        number = np.count_nonzero(halves)
        if number:
            without = np.count_nonzero(scoreless & halves)
            message = f"found {number - without:,} with a score and no coordinates, {without:,} the other way round"
            self.add("missing-joint", "keypoint", message)

    def check_pixels(
        self, key: str, dtype: np.dtype[Any], low: list[float], high: list[float], size: tuple[int, int] | None
    ) -> None:
        (left, top), (right, bottom) = low, high
        largest = max(-left, right, -top, bottom)
        if largest <= NORMALISED:
            message = f"found x from {left:.2f} to {right:.2f}, y from {top:.2f} to {bottom:.2f}, expected pixels"
            self.add("normalised", key, message)
            return
        if dtype == np.float16 and largest > COARSE:
            self.add("precision", key, f"found coordinates to {largest:.0f} in float16")
        if size is None:
            return
        height, width = size
        if right > SWAPPED * width and right <= height and bottom <= SWAPPED * width:
            code, place = "img-shape-swapped", "img_shape"
        elif min(left / width, top / height) < -OUTSIDE or max(right / width, bottom / height) > 1 + OUTSIDE:
            code, place = "outside", key
        else:
            return
        span = f"x from {left:.0f} to {right:.0f} and y from {top:.0f} to {bottom:.0f}"
        self.add(code, place, f"found {span} in a picture of (height, width) = ({height}, {width})")

    def check_metres(self, low: list[float], high: list[float]) -> None:
        farthest = max(*high, *(-value for value in low))
        if farthest > FARTHEST and low[2] >= 0 and high[2] <= SCORE_RANGE[1]:
            message = f"found x and y as in a picture, and a third coordinate from {low[2]:.2f} to {high[2]:.2f}"
            self.add("score-inside", "keypoint", message)
        elif farthest > FARTHEST:
            self.add("units", "keypoint", f"found coordinates up to {farthest:.0f}, expected metres")

    # -- compressed skeletons [N, V, 3], and the index

    def check_compressed(self, keypoint: _Array, key: str, size: tuple[int, int] | None = None) -> None:
        _, joints, columns = keypoint.shape
        if columns != 3:
            message = f"found {_kind(keypoint)}, expected [N, V, 3]: x, y, score"
            hint = "Add the scores: np.concatenate([keypoint, keypoint_score[..., None]], axis=-1)."
            self.add("keypoint-coordinates", key, message, hint if columns == 2 else "")
            return
        if keypoint.dtype.kind != "f":
            self.add("keypoint-dtype", key, f"found {_kind(keypoint)}, expected floats")
        self.check_layout(joints, columns, key)
        if keypoint.size and keypoint.dtype.kind in "fiu":
            low, high = self.bounds_of(key, keypoint)
            if not all(map(isfinite, low + high)):
                self.tell_not_finite(key, keypoint)
            elif not any(low + high):
                self.add("no-joints", key, f"found zeros only in {_kind(keypoint)}")
            else:
                self.check_pixels(key, keypoint.dtype, low[:2], high[:2], size)
                self.check_score_range(key, low[2], high[2])

    def check_index(self, keypoint: Any, flat: tuple[str, ...]) -> None:
        total = self.check_total_frames()
        size = self.check_img_shape(required=True)
        raw_file = self.record.get("raw_file")
        if "keypoint" not in self.record and "raw_file" not in self.record:
            self.add("raw-file-missing", "", "found no raw_file")
        elif "raw_file" in self.record and not isinstance(raw_file, str):
            self.add("raw-file", "raw_file", f"found {_kind(raw_file)}, expected a path")
        lengths = dict(self.lengths_of_skeletons(keypoint, size))
        frames, boxes = self.check_rows("frame_inds", "iu"), self.check_rows("box_score", "f")
        if frames is not None:
            lengths["frame_inds"] = len(frames)
            self.check_frame_numbers(frames, total)
        if boxes is not None:
            lengths["box_score"] = len(boxes)
            if boxes.size:
                self.check_scores(boxes, "box_score")
        if len(set(lengths.values())) > 1:
            words = ", ".join(f"{key} {length:,}" for key, length in lengths.items())
            self.add("lengths-differ", "frame_inds", f"found {words}")
            boxes = None
        self.check_valid(frames, boxes, flat)

    def check_rows(self, key: str, kinds: str) -> _Array | None:
        """Return the array of one axis, wide enough to compute with. Skeletons of people's own have no boxes."""
        rows = self.array(key)
        if rows is _DAMAGED or (key == "box_score" and key not in self.record):
            return None
        if isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.dtype.kind in kinds:
            return rows.astype(np.int64) if kinds == "iu" else widened(rows)
        code, what = ("frame-inds", "ints") if key == "frame_inds" else ("box-score", "floats")
        found = _kind(rows) if key in self.record else "none"
        self.add(code, key, f"found {found}, expected {what} of one axis, [N]")
        return None

    def lengths_of_skeletons(self, keypoint: Any, size: tuple[int, int] | None) -> Iterator[tuple[str, int]]:
        """Check the skeletons themselves, where they are at hand, and say how many there are."""
        if "keypoint" in self.record:
            if isinstance(keypoint, np.ndarray) and keypoint.ndim == 3:
                self.check_compressed(keypoint, "keypoint", size)
                yield "keypoint", len(keypoint)
            elif keypoint is not _DAMAGED:
                self.add("keypoint-axes", "keypoint", f"found {_kind(keypoint)}, expected [N, V, 3]: x, y, score")
        elif self.validator.store is None:
            self.add("kpfiles-not-read", "", "found no keypoint, and no kpfiles were named")
        elif isinstance(self.id, str):
            try:
                store = self.validator.store
                stored = store[self.record if isinstance(store, KpfileStore) else self.id]
                stored = stored.get("keypoint") if isinstance(stored, Mapping) else stored
                stored = stored.read() if isinstance(stored, ArrayHandle) else stored
            except LookupError as error:
                message = error.args[0] if error.args and isinstance(error.args[0], str) else repr(error)
                self.add("kpfile-missing", "raw_file", message[:300])
                return
            except (ValueError, OSError) as error:
                self.add("kpfile-unreadable", "raw_file", str(error)[:300])
                return
            if isinstance(stored, np.ndarray) and stored.ndim == 3:
                self.check_compressed(stored, "raw_file", size)
                yield "the kpfile", len(stored)
            else:
                self.add("keypoint-axes", "raw_file", f"found {_kind(stored)}, expected [N, V, 3]: x, y, score")

    def check_frame_numbers(self, frames: _Array, total: int | None) -> None:
        if not len(frames):
            return
        steps = np.diff(frames)
        if (steps < 0).any():
            place = int(np.argmax(steps < 0)) + 1
            self.add("frame-inds-order", "frame_inds", f"found {frames[place]} after {frames[place - 1]}, at {place}")
        low, high = int(frames.min()), int(frames.max())
        if low < 0 or (total is not None and high > total - (low == 0)):
            self.add("frame-inds-range", "frame_inds", f"found {low} to {high}, but total_frames is {total}")
            return
        sizes, counts = np.unique(steps[steps > 0], return_counts=True)
        base = int(low != 0 and (high == total or is_of_an_index(self.record)))
        self.validator.steps[base, int(sizes[counts.argmax()]) if len(sizes) else 1] += 1

    def check_valid(self, frames: _Array | None, boxes: _Array | None, flat: tuple[str, ...]) -> None:
        """`valid` counts the frames with a box of at least a score; compared in float32, as it was made."""
        stated: list[tuple[Any, Any, str]] = [(key.removeprefix("valid@"), self.record[key], key) for key in flat]
        if flat:
            self.add("valid-flat", "", f"found {_some_of(flat)}")
        valid = self.record.get("valid")
        if isinstance(valid, Mapping):
            stated += [(threshold, number, "valid") for threshold, number in valid.items()]
        elif "valid" in self.record:
            self.add("valid-form", "valid", f"found {_kind(valid)}, expected a dict")
        for threshold, number, key in stated:
            score = _threshold(threshold, is_text=key != "valid")
            if score is None or not _is_int(number):
                self.add(
                    "valid-form", key, f"found {_kind(number)} for {_kind(threshold)}, expected an int for a float"
                )
            elif frames is not None and boxes is not None:
                counted = len(np.unique(frames[boxes.astype(np.float32) >= score]))
                if number != counted:
                    self.add("valid-differs", key, f"found {number} for {_kind(threshold)}, counted {counted}")


# Stands for an array that cannot be read, which was told already.
_DAMAGED = object()


# ---------------------------------------------------------------------------------------------------------------
# Small things


def _is_int(value: Any) -> TypeGuard[int]:
    is_int = type(value) is int or (isinstance(value, (int, np.integer)) and not isinstance(value, bool))
    return is_int and bool(-_LARGEST <= value <= _LARGEST)


def _fold(name: str) -> tuple[bool, str]:
    """Whether a split is one to train on, and its fold: what is left of its name without the part of the fold."""
    match = _PART.search(name)
    return bool(match and match[1].lower() == "train"), _PART.sub("", name) if match else name


def _is_almost_int(value: Any) -> bool:
    """Whether ``int(value)`` is what is meant: for 1.0, "1", and an array of no axis."""
    try:
        return not isinstance(value, (bool, bytes)) and _is_int(int(value)) and float(value) == int(value)
    except Exception:  # whatever that is, it has a say in what becomes of it
        return False


# How many numbers the coordinates of all joints are, in the common layouts: people put them into one axis.
_FLAT = {
    layout.V * C: (layout.V, C)
    for layout, C in ((layouts.get("coco"), 2), (layouts.get("openpose"), 2), (layouts.get("nturgb+d"), 3))
}


def _unfolding(keypoint: _Array) -> str:
    """What makes [M, T, V, C] of an array with more or fewer axes, if that can be said."""
    *rest, last = keypoint.shape or (0,)
    if len(rest) in (1, 2) and last in _FLAT:
        V, C = _FLAT[last]
        lengths = f"1, {rest[0]}" if len(rest) == 1 else f"{rest[0]}, {rest[1]}"
        return f"If an item of the last axis is all of a person's numbers: keypoint.reshape({lengths}, {V}, {C})."
    if len(rest) != 2:
        return ""
    rows = " If it has a row for each skeleton, of whatever frame, add frame_inds [N]." if last == 3 else ""
    return f"One person's [T, V, C] becomes [1, T, V, C] with keypoint[None].{rows}"


def _reordering(keypoint: _Array) -> str:
    """What brings the axes into order, if the one of the coordinates is seen at another place."""
    is_short = [length in (2, 3) for length in keypoint.shape]
    if is_short[1]:
        return "If the axes are [M, C, T, V], move C to the end: np.moveaxis(keypoint, 1, -1)."
    if is_short[2]:
        return "If the axes are [M, T, C, V], swap the last two: keypoint.swapaxes(2, 3)."
    if is_short[0]:
        return "If the axes are [C, T, V, M], turn them: keypoint.transpose(3, 1, 2, 0)."
    return ""


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or _is_int(value)


def _shown_id(value: Any) -> str | int | None:
    return value if _is_id(value) else None


def _is_size(value: Any) -> bool:
    if not isinstance(value, (tuple, list, np.ndarray)) or (isinstance(value, np.ndarray) and value.ndim != 1):
        return False
    return len(value) == 2 and _is_int(value[0]) and _is_int(value[1]) and bool(value[0] > 0 and value[1] > 0)


def _threshold(value: Any, *, is_text: bool) -> np.float32 | None:
    """A score as a key of `valid`, 0.5, or in one of the flat keys: "0.5" of valid@0.5."""
    try:
        number = float(value) if is_text or isinstance(value, (float, np.floating)) or _is_int(value) else np.nan
    except ValueError:
        number = np.nan
    return np.float32(number) if isfinite(number) else None


def _without_path(name: Any) -> tuple[str, ...]:
    """An id without what people leave on it: the folder, the suffix, both."""
    if not isinstance(name, str):
        return ()
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return base, name.rsplit(".", 1)[0], base.rsplit(".", 1)[0]


def _some_of(keys: Iterable[Any]) -> str:
    keys = list(keys)
    return ", ".join(map(_kind, keys[:10])) + (", ..." if len(keys) > 10 else "")


_BRIEFLY = reprlib.Repr()
_BRIEFLY.maxstring = 60


def _kind(value: Any) -> str:
    """What a value is, in a few words: the value itself if it is small and simple."""
    if isinstance(value, (np.ndarray, ArrayHandle)):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, str):
        return _BRIEFLY.repr(str(value))
    if value is None or isinstance(value, float) or _is_int(value):
        return f"{value}"
    if type(value) in (tuple, list) and len(value) <= 4 and not any(isinstance(item, (tuple, list)) for item in value):
        items = ", ".join(map(_kind, value))
        return f"({items})" if type(value) is tuple else f"[{items}]"
    name = type(value).__name__
    return f"{'an' if name.startswith(tuple('aeiou')) else 'a'} {name}"
