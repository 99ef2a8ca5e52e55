"""Say everything that is wrong with a skeleton file, where, and what to do.

A rule is one entry of `RULES` and one place in the code below that reports it. *Error*: training on the file fails,
or learns nonsense. *Warning*: probably not what was meant. *Note*: worth knowing. What official files do is never an
error.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from . import layouts
from .cards import Card, catalog
from .dataset import Dataset, open_leniently
from .layouts import Layout, nearest_of
from .sources import ArrayHandle, FormatError, UnsafePickleError

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "warning", "note"]
_Array = npt.NDArray[Any]


class Rule(NamedTuple):
    """What a code means: how grave it is, what it says, and what to do about it."""

    severity: Severity
    title: str
    hint: str


# The codes are stable: people search for them, and scripts rely on them.
RULES: dict[str, Rule] = {
    # -- the file as a whole
    "unreadable": Rule("error", "the file cannot be read", "Get the file again, or have it saved as plain data."),
    "no-clips": Rule("error", "there is no clip at all", "Put annotations into the list."),
    "clip-none": Rule("error", "None stands in the place of a clip", "Leave such clips out before saving."),
    "clip-not-dict": Rule("error", "something else than a dict stands in the place of a clip", "A clip is a dict."),
    "no-split": Rule("note", "there is no split", "Before training, add 'split': {'train': [ids], 'val': [ids]}."),
    "split-not-list": Rule("error", "a split is not a list of ids", "A split is a list of the frame_dir of its clips."),
    "split-empty": Rule("warning", "a split is empty", "Put ids into it, or leave it out."),
    "split-unknown-id": Rule(
        "warning", "a split has an id that no clip has", "Frameworks pass over it in silence: correct or remove it."
    ),
    "split-repeated-id": Rule("warning", "a split has an id twice", "Leave one of them out."),
    "split-leak": Rule(
        "error", "a clip is in two splits of one protocol", "Training and testing on the same clip measures memory."
    ),
    "split-name": Rule(
        "note", "a split's name is close to an official one", "Configurations name splits: use the official name."
    ),
    "clip-in-no-split": Rule("warning", "a clip is in no split", "It will never be used: add its id to a split."),
    # -- which clip it is
    "id-missing": Rule("error", "a clip has no id", "Give it a frame_dir, a text that no other clip has."),
    "id-repeated": Rule("error", "two clips have the same id", "Rename or remove one: splits cannot tell them apart."),
    "id-in-filename": Rule("note", "the id is in filename, the older key", "Newer readers expect frame_dir."),
    # -- frames
    "total-frames": Rule("error", "total_frames is not a positive int", "It is the number of frames, T."),
    "total-frames-differ": Rule("error", "total_frames is not T", "Set total_frames to keypoint.shape[1]."),
    "no-frames": Rule("error", "a clip has no frames (T = 0)", "Leave it out."),
    "no-people": Rule("note", "nobody was found in a clip (M = 0)", "Training passes over it, or fails: leave it out."),
    # -- the picture
    "img-shape": Rule("error", "img_shape is not (height, width)", "2D needs two positive ints, the height first."),
    "img-shape-swapped": Rule("warning", "img_shape looks like (width, height)", "The height comes first: swap them."),
    "original-shape": Rule("warning", "original_shape is not (height, width)", "Correct it or leave it out."),
    "normalised": Rule(
        "warning", "coordinates look normalised to 0...1", "Multiply x by the width and y by the height."
    ),
    "outside": Rule("warning", "coordinates are far outside the picture", "Check img_shape, and the units: pixels."),
    # -- arrays
    "keypoint-missing": Rule("error", "a clip has no keypoint", "Add the array [M, T, V, C]."),
    "keypoint-dtype": Rule("error", "keypoint is no array of floats", "Make it one: np.asarray(..., np.float16)."),
    "keypoint-axes": Rule("error", "keypoint has not four axes", "[M, T, V, C]: add the axis of persons with x[None]."),
    "keypoint-coordinates": Rule("error", "C is neither 2 nor 3", "2D: x, y, with scores apart. 3D: x, y, z."),
    "layout": Rule("warning", "V is that of no known layout", "Name yours: validate(..., layout=Layout(...))."),
    "layout-differs": Rule("error", "V is not the layout's", "Choose the layout in your model that has these joints."),
    "score-missing": Rule("error", "2D keypoints have no keypoint_score", "Add scores [M, T, V]; ones if unknown."),
    "score-shape": Rule(
        "error", "keypoint_score has not the shape [M, T, V]", "One score a joint: drop its last axis?"
    ),
    "score-dtype": Rule("error", "keypoint_score is no array of floats", "Make it one: np.asarray(..., np.float16)."),
    "score-range": Rule("warning", "scores are outside 0 to 1.1", "Are they logits, or percent? Bring them to 0...1."),
    "array-damaged": Rule("error", "an array cannot be read", "The file is damaged: get it again."),
    "not-finite": Rule("error", "an array has NaN or infinity", "Set such joints to zero, and their scores too."),
    "no-joints": Rule("warning", "a clip has no joint at all", "Everything in it is zero: leave it out."),
    "empty-frames": Rule("note", "a clip has frames with nobody", "Fine: a model sees zeros there."),
    "missing-joint": Rule(
        "warning", "joints are missing by halves", "A missing joint has zero coordinates and a zero score, both."
    ),
    "precision": Rule("note", "float16 coordinates above 1024", "They are whole pixels there; float32 is finer."),
    # -- labels
    "no-labels": Rule("note", "no clip has a label", "Fine for looking; training needs an int, from 0."),
    "label-missing": Rule("error", "a clip has no label, and others have", "Give it one, or leave the clip out."),
    "label-type": Rule("error", "a label is not an int", "Number the classes from 0: label = names.index(name)."),
    "label-numpy": Rule("note", "a label is a numpy int", "Plain ints travel better between numpy versions."),
    "label-range": Rule(
        "error", "a label is beyond the classes", "Labels go from 0 to classes - 1: else CUDA asserts."
    ),
    "label-from-1": Rule(
        "note", "labels begin at 1", "Classes are counted from 0: subtract 1, if 0 is not just absent."
    ),
    "label-gaps": Rule("note", "not all labels below the largest occur", "Fine for a part of a data set."),
    # -- Kinetics' index
    "frame-inds": Rule("error", "frame_inds is no row of ints", "One frame number a skeleton: int16, one axis."),
    "frame-inds-order": Rule("error", "frame_inds goes back", "Sort the skeletons by frame."),
    "frame-inds-range": Rule("error", "frame_inds is beyond total_frames", "Is it the number of the right video?"),
    "frame-inds-base": Rule(
        "note", "frame numbers and their step, as found", "Give decompress base= where it matters."
    ),
    "lengths-differ": Rule("error", "arrays of one clip have different lengths", "One row a skeleton in each of them."),
    "valid-differs": Rule(
        "warning", "valid is not what box_score counts to", "Count frames with a box of >= threshold."
    ),
    "valid-flat": Rule(
        "note", "valid is written as flat keys", "The older form of the index: valid@0.5 ... valid@0.9."
    ),
    "raw-file-missing": Rule("note", "the index does not name kpfiles", "They are found by their ids, or one a video."),
    "kpfile-missing": Rule("error", "a clip's skeletons are not in the kpfiles", "Unpack the kpfiles completely."),
    # -- person slots
    "people": Rule("note", "how many person slots clips have", "A slot is a place, not a person."),
    "slots-swap": Rule(
        "note", "persons seem to change slots", "A slot is a place, not an identity: track if it matters."
    ),
    # -- what a named data set promises
    "dataset-keys": Rule("error", "a key of this data set is missing", "Is it really that data set?"),
    "dataset-splits": Rule("warning", "the splits are not this data set's", "Is it really that data set?"),
    "ntu-name": Rule("warning", "an id is no NTU name", "NTU names are SsssCcccPpppRrrrAaaa."),
    "ntu-label": Rule("error", "the label is not the one in the NTU name", "label = A - 1, for A as in the name."),
}
_RANK = {"error": 0, "warning": 1, "note": 2}

# How many findings of one code are kept; all are counted.
MOST_STORED = 20
# How many places of one code are shown.
MOST_SHOWN = 3
# Detectors give scores to 1.024 in official files (measured): what is above 1.1 is something else than a probability.
SCORE_RANGE = (0.0, 1.1)
# Official files reach 211 px beyond the picture (measured). Beyond its whole width or height, units or size are wrong.
OUTSIDE = 1.0
# x beyond the width by a tenth, in all of a clip, and yet within the height: people who only leave the picture do not.
SWAPPED = 1.1
# Pixels are larger than this within a few frames; what stays below, in a picture of hundreds of pixels, is a share.
NORMALISED = 2.0
# The step between two float16 numbers is 1 from here on.
COARSE = 1024
# A slot seems to swap when another slot's person comes closer than this share of the way to its own.
SWAP_SHARE = 0.3


# ---------------------------------------------------------------------------------------------------------------
# The report


@dataclass(frozen=True)
class Finding:
    """One fault: its stable `code`, how grave it is, where it is, what was found and what to do.

    `where` is a place such as ``annotations[12].keypoint_score``, `frame_dir` the id of that clip or None.
    """

    code: str
    severity: Severity
    where: str
    frame_dir: Any
    message: str
    hint: str

    def __str__(self) -> str:
        clip = f" ({self.frame_dir})" if self.frame_dir is not None else ""
        return f"{self.where or 'the file'}{clip}: {self.message}"


@dataclass(frozen=True)
class Report:
    """What `validate` found. ``report.ok`` is True when there is no error.

    Attributes
    ----------
    name : str
        The file, or "in memory".
    clips : int
        How many clips were looked at.
    findings : tuple of Finding
        In the order of the file; of each code the first few.
    counts : dict
        How often each code was found in all.
    """

    name: str
    clips: int
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]

    @property
    def ok(self) -> bool:
        return not any(RULES[code].severity == "error" for code in self.counts)

    def to_frame(self) -> pd.DataFrame:
        """The findings as a table of pandas, one row each."""
        import pandas as pd

        columns = list(Finding.__dataclass_fields__)
        return pd.DataFrame(
            [[getattr(finding, name) for name in columns] for finding in self.findings], columns=columns
        )

    def raise_for_errors(self) -> None:
        """Raise `FormatError` with all errors, if there are any."""
        if not self.ok:
            raise FormatError("\n".join(self._lines("error")))

    def __str__(self) -> str:
        return "\n".join(self._lines("error", "warning", "note"))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for code, found in self._by_code():
            rule = RULES[code]
            places = "<br>".join(escape(str(finding)) for finding in found[:MOST_SHOWN])
            more = self.counts[code] - min(len(found), MOST_SHOWN)
            places += f"<br>and {more:,} more" if more else ""
            cells = (
                escape(rule.severity),
                f"<code>{code}</code>",
                f"{self.counts[code]:,}",
                places,
                escape(found[0].hint),
            )
            rows.append("".join(f'<td style="text-align:left;vertical-align:top">{cell}</td>' for cell in cells))
        head = "".join(
            f'<th style="text-align:left">{name}</th>' for name in ("", "code", "times", "where, what", "what to do")
        )
        table = f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>" if rows else ""
        return f"<p><b>{escape(self._headline())}</b></p>{table}"

    def _headline(self) -> str:
        totals = Counter[str]()
        for code, count in self.counts.items():
            totals[RULES[code].severity] += count
        words = ", ".join(f"{totals[kind]:,} {kind}{'' if totals[kind] == 1 else 's'}" for kind in _RANK)
        return f"{self.name}: {self.clips:,} clip{'' if self.clips == 1 else 's'}, {words}"

    def _by_code(self) -> list[tuple[str, list[Finding]]]:
        """Findings of each code, the gravest first."""
        found: dict[str, list[Finding]] = defaultdict(list)
        for finding in self.findings:
            found[finding.code].append(finding)
        return sorted(found.items(), key=lambda item: _RANK[RULES[item[0]].severity])

    def _lines(self, *severities: Severity) -> Iterator[str]:
        yield self._headline()
        for code, found in self._by_code():
            rule = RULES[code]
            if rule.severity in severities:
                times = f", {self.counts[code]:,} times" if self.counts[code] > 1 else ""
                yield f"  {rule.severity} [{code}]{times}: {rule.title}. {found[0].hint}"
                yield from (f"      {finding}" for finding in found[:MOST_SHOWN])
                more = self.counts[code] - min(len(found), MOST_SHOWN)
                if more:
                    yield f"      and {more:,} more"


class _Notebook:
    """What is found while a file is gone through."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()

    def add(self, code: str, where: str, message: str, frame_dir: Any = None, hint: str = "") -> None:
        self.counts[code] += 1
        if self.counts[code] <= MOST_STORED:
            rule = RULES[code]
            shown = frame_dir if isinstance(frame_dir, (str, int)) else None
            self.findings.append(Finding(code, rule.severity, where, shown, message, hint or rule.hint))


# ---------------------------------------------------------------------------------------------------------------
# The rules


def validate(
    x: Any,
    *,
    dataset: str | None = None,
    layout: str | Layout | None = None,
    num_classes: int | None = None,
    store: Mapping[Any, Any] | None = None,
) -> Report:
    """Say everything that is wrong with a file or with Python objects: where it is, and what to do.

    All faults are told at once. Clips are gone through one at a time and each array is read once, so that a file of
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
        For an index of Kinetics: the kpfiles, or any mapping from id to skeletons [N, V, 3].

    Returns
    -------
    Report
        The findings. A file that cannot be read gives a report with that one finding.

    Examples
    --------
    >>> report = pysklnb.validate({"frame_dir": "mine", "label": 3})
    >>> report.ok
    False
    >>> [finding.code for finding in report.findings]
    ['total-frames', 'keypoint-missing', 'people']
    """
    book = _Notebook()
    name = str(x) if isinstance(x, str) or hasattr(x, "__fspath__") else "in memory"
    try:
        ds = open_leniently(x, dataset)
    except (FormatError, UnsafePickleError, OSError) as error:
        book.add("unreadable", "", str(error))
        return Report(name, 0, tuple(book.findings), dict(book.counts))
    _Validator(ds, book, layout, num_classes, store).run()
    return Report(ds.name, len(ds), tuple(book.findings), dict(book.counts))


class _Validator:
    """One going through a data set: what is found on the way, and what is only known at the end."""

    def __init__(
        self,
        ds: Dataset,
        book: _Notebook,
        layout: str | Layout | None,
        num_classes: int | None,
        store: Mapping[Any, Any] | None,
    ) -> None:
        self.ds, self.book, self.store = ds, book, store
        self.card: Card | None = catalog[ds.dataset] if ds.dataset else None
        if layout is None and self.card:
            layout = self.card.layout
        self.layout = layouts.get(layout) if layout is not None else None
        self.classes = num_classes if num_classes is not None else self.card.classes if self.card else None
        self.records = [ds._records[place] for place in ds._places]
        self.clips = [record for record in self.records if isinstance(record, Mapping)]
        self.some_have_labels = any("label" in record for record in self.clips)
        self.labels: set[int] = set()
        self.people: Counter[int] = Counter()
        self.steps: Counter[tuple[int, int]] = Counter()

    def run(self) -> None:
        from tqdm.auto import tqdm

        if not self.records:
            self.book.add("no-clips", "annotations", "found an empty list")
        self.check_splits()
        seen: dict[Any, int] = {}
        for number, record in enumerate(tqdm(self.records, desc="clips", delay=2, leave=False)):
            where = "" if self.ds.container == "annotation" else f"annotations[{number}]"
            if record is None:
                self.book.add("clip-none", where, "found None, expected an annotation")
            elif not isinstance(record, Mapping):
                self.book.add("clip-not-dict", where, f"found {_kind(record)}, expected a dict")
            else:
                _Clip(self, record, where, number, seen).check()
        self.check_labels()
        self.tell_the_rest()

    # -- splits

    def check_splits(self) -> None:
        add, splits = self.book.add, self.ds._own_split
        if not splits and self.ds.container == "dict":
            self.book.add("no-split", "split", "found no split")
        elif not splits:
            if self.ds.container in ("list", "folder") and any("label" in clip for clip in self.clips[:1]):
                self.book.add("no-split", "", f"a {self.ds.container} of annotations has no splits")
            return
        known = {clip.get(self.ds._id_key) for clip in self.clips if _is_id(clip.get(self.ds._id_key))}
        members: dict[str, set[Any]] = {}
        for name, ids in splits.items():
            where = f"split[{name!r}]"
            if not isinstance(ids, (list, tuple, np.ndarray)):
                add("split-not-list", where, f"found {_kind(ids)}, expected a list of ids")
                continue
            if len(ids) == 0:
                add("split-empty", where, "found no ids")
            members[name] = set()
            for number, item in enumerate(ids):
                if not _is_id(item):
                    add("split-not-list", f"{where}[{number}]", f"found {_kind(item)}, expected an id")
                elif item in members[name]:
                    add("split-repeated-id", f"{where}[{number}]", f"found {item!r} again")
                else:
                    members[name].add(item)
                    if item not in known:
                        add("split-unknown-id", f"{where}[{number}]", f"found {item!r}, which no clip has")
        self.check_names(list(splits))
        self.check_leaks(members)
        used = set().union(*members.values())
        for number, record in enumerate(self.records):
            name = record.get(self.ds._id_key) if isinstance(record, Mapping) else None
            if _is_id(name) and name not in used:
                add("clip-in-no-split", f"annotations[{number}]", "no split names it", name)

    def check_names(self, names: list[Any]) -> None:
        if self.card:
            if set(names) != set(self.card.splits):
                expected = ", ".join(self.card.splits)
                self.book.add("dataset-splits", "split", f"found {', '.join(map(str, names))}, expected {expected}")
            return
        official = sorted({name for card in catalog.values() for name in card.splits} | {"train", "val", "test"})
        for name in names:
            if name not in official:
                nearest = nearest_of(str(name), official)
                if nearest.startswith("nearest"):
                    self.book.add("split-name", f"split[{name!r}]", f"found {name!r} ({nearest})")

    def check_leaks(self, members: dict[str, set[Any]]) -> None:
        """Folds share clips, the parts of one fold must not: what is left of a name without its part is the fold."""
        parts = [(_PART.search(str(name)), name) for name in members]
        folds = [(match[0].lower(), _PART.sub("", str(name)), name) for match, name in parts if match]
        for part, fold, train in folds:
            if not part.startswith("train"):
                continue
            for other_part, other_fold, other in folds:
                if other_fold == fold and not other_part.startswith("train"):
                    for item in sorted(members[train] & members[other], key=str):
                        where = f"split[{train!r}], split[{other!r}]"
                        self.book.add("split-leak", where, f"found {item!r} in both", item)

    # -- what is known at the end

    def check_labels(self) -> None:
        add = self.book.add
        if self.clips and not self.some_have_labels and not all("keypoint" in c and len(c) == 2 for c in self.clips):
            add("no-labels", "annotations", "found no label in any clip")
        if self.labels:
            low, high = min(self.labels), max(self.labels)
            absent = high + 1 - len([label for label in self.labels if label >= 0])
            if low == 1:
                add("label-from-1", "annotations", f"found labels from 1 to {high}, none is 0")
            elif absent > 0 and len(self.labels) > 1:
                add("label-gaps", "annotations", f"found {len(self.labels):,} of the labels from 0 to {high}")

    def tell_the_rest(self) -> None:
        if self.people:
            words = ", ".join(f"{m} in {n:,}" for m, n in sorted(self.people.items())[:8])
            self.book.add("people", "annotations", f"found person slots, by clips: {words}")
        for (base, step), count in self.steps.most_common(3):
            self.book.add(
                "frame-inds-base", "annotations", f"found frames counted from {base}, mostly every {step}, in {count:,}"
            )


_PART = re.compile(r"_?(train|val|test)(ing|id|idation)?", re.IGNORECASE)
_NTU_NAME = re.compile(r"S\d{3}C\d{3}P\d{3}R\d{3}A(\d{3})")
# What clips of a named data set have, by the dimensions of its skeletons.
_PROMISED = {
    2: ("frame_dir", "label", "img_shape", "total_frames", "keypoint", "keypoint_score"),
    3: ("frame_dir", "label", "total_frames", "keypoint"),
}
_PROMISED_INDEX = ("frame_dir", "label", "img_shape", "total_frames", "frame_inds", "box_score", "valid")


class _Clip:
    """One annotation under examination."""

    def __init__(
        self, validator: _Validator, record: Mapping[str, Any], where: str, number: int, seen: dict[Any, int]
    ) -> None:
        self.validator, self.record, self.where, self.number, self.seen = validator, record, where, number, seen
        self.id = record.get(validator.ds._id_key)

    def add(self, code: str, key: str, message: str, hint: str = "") -> None:
        where = f"{self.where}.{key}" if self.where and key else self.where or key
        self.validator.book.add(code, where, message, self.id, hint)

    def check(self) -> None:
        self.check_id()
        keypoint = self.array("keypoint")
        is_index = any(key == "frame_inds" or str(key).startswith("valid@") for key in self.record)
        is_kpfile = self.validator.ds.container in ("kpfile", "folder", "list") and set(self.record) == {
            "frame_dir",
            "keypoint",
        }
        compressed = isinstance(keypoint, np.ndarray) and keypoint.ndim == 3 and (is_index or is_kpfile)
        if self.validator.card:
            self.check_promises(self.validator.card)
        if is_kpfile and compressed:
            self.check_compressed(keypoint)
            return
        self.check_label()
        if is_index:
            total = self.check_total_frames(None)
            self.check_img_shape(required=True)
            self.check_index(total, keypoint if compressed else None)
            if compressed:
                self.check_compressed(keypoint)
            return
        if "keypoint" not in self.record:
            self.check_total_frames(None)
            self.add("keypoint-missing", "keypoint", f"found the keys {', '.join(map(str, self.record))}")
        elif self.check_axes(keypoint):
            self.check_skeletons(keypoint)

    def array(self, key: str) -> Any:
        """The value of a key, read if it is in the file; None if that fails."""
        value = self.record.get(key)
        if not isinstance(value, ArrayHandle):
            return value
        try:
            return value.read()
        except FormatError as error:
            self.add("array-damaged", key, str(error))
            return None

    # -- which clip it is

    def check_id(self) -> None:
        key = self.validator.ds._id_key
        if not isinstance(self.id, str) or not self.id:
            found = f"found {_kind(self.id)}" if key in self.record else "found none"
            self.add("id-missing", key, f"{found}, expected a text that is not empty")
            return
        if key == "filename" and self.number == 0:
            self.add("id-in-filename", key, "found filename instead of frame_dir")
        before = self.seen.setdefault(self.id, self.number)
        if before != self.number:
            self.add("id-repeated", key, f"found {self.id!r}, which annotations[{before}] has too")

    def check_promises(self, card: Card) -> None:
        promised = _PROMISED_INDEX if card.name == "k400_hrnet" else _PROMISED[card.dimensions]
        for key in promised:
            if key not in self.record:
                self.add("dataset-keys", key, f"found no {key}, which {card.name} has")
        if card.name.startswith("ntu") and isinstance(self.id, str):
            match = _NTU_NAME.fullmatch(self.id)
            label = self.record.get("label")
            if not match:
                self.add("ntu-name", "frame_dir", f"found {self.id!r}")
            elif _is_int(label) and label != int(match[1]) - 1:
                self.add("ntu-label", "label", f"found {label}, expected {int(match[1]) - 1} from {match[0]}")

    # -- label, frames, picture

    def check_label(self) -> None:
        if "label" not in self.record:
            if self.validator.some_have_labels:
                self.add("label-missing", "label", "found none, expected an int")
            return
        label, classes = self.record["label"], self.validator.classes
        if not _is_int(label):
            self.add("label-type", "label", f"found {_kind(label)}, expected an int")
            return
        if isinstance(label, np.integer):
            self.add("label-numpy", "label", f"found numpy's {type(label).__name__}")
        self.validator.labels.add(int(label))
        if label < 0:
            self.add("label-range", "label", f"found {label}, expected 0 or more")
        elif classes is not None and label >= classes:
            self.add("label-range", "label", f"found {label}, expected 0 to {classes - 1} for {classes} classes")

    def check_total_frames(self, frames: int | None) -> int | None:
        """Compare with T; return total_frames if it is one."""
        total = self.record.get("total_frames")
        if not _is_int(total) or total <= 0:
            found = f"found {_kind(total)}" if "total_frames" in self.record else "found none"
            if frames != 0:
                self.add("total-frames", "total_frames", f"{found}, expected a positive int")
            return None
        if frames is not None and total != frames:
            self.add("total-frames-differ", "total_frames", f"found {total}, but keypoint has T = {frames}")
        return int(total)

    def check_img_shape(self, *, required: bool) -> tuple[int, int] | None:
        """Return (height, width), if that is what img_shape is."""
        shape = self.record.get("img_shape")
        if "original_shape" in self.record and not _is_size(self.record["original_shape"]):
            self.add("original-shape", "original_shape", f"found {_kind(self.record['original_shape'])}")
        if _is_size(shape):
            return int(shape[0]), int(shape[1])
        if required or "img_shape" in self.record:
            found = f"found {_kind(shape)}" if "img_shape" in self.record else "found none"
            self.add("img-shape", "img_shape", f"{found}, expected (height, width), two positive ints")
        return None

    # -- skeletons [M, T, V, C]

    def check_axes(self, keypoint: Any) -> bool:
        """Whether keypoint has the form that the other checks need."""
        if keypoint is None and "keypoint" in self.record and isinstance(self.record["keypoint"], ArrayHandle):
            return False  # damaged, which was said
        if not isinstance(keypoint, np.ndarray) or keypoint.dtype.kind not in "fiu":
            self.check_total_frames(None)
            self.add("keypoint-dtype", "keypoint", f"found {_kind(keypoint)}, expected an array of floats")
            return False
        if keypoint.ndim != 4:
            self.check_total_frames(None)
            self.add("keypoint-axes", "keypoint", f"found {_kind(keypoint)}, expected [M, T, V, C]")
            return False
        if keypoint.dtype.kind != "f":
            self.add("keypoint-dtype", "keypoint", f"found {_kind(keypoint)}, expected floats")
        return True

    def check_skeletons(self, keypoint: _Array) -> None:
        people, frames, joints, dimensions = keypoint.shape
        self.validator.people[people] += 1
        self.check_total_frames(frames)
        size = self.check_img_shape(required=dimensions == 2)
        self.check_layout(joints, dimensions)
        if frames == 0:
            self.add("no-frames", "keypoint", f"found {_kind(keypoint)}")
        if people == 0:
            self.add("no-people", "keypoint", f"found {_kind(keypoint)}")
        card = self.validator.card
        if dimensions not in (2, 3) or (card and dimensions != card.dimensions):
            expected = f"{card.dimensions}, as {card.name} has it" if card else "2 or 3"
            self.add("keypoint-coordinates", "keypoint", f"found C = {dimensions}, expected {expected}")
            return
        score = self.check_score(keypoint, required=dimensions == 2)
        if keypoint.size:
            self.check_values(keypoint, score, size)

    def check_layout(self, joints: int, dimensions: int) -> None:
        layout = self.validator.layout
        if layout:
            if joints != layout.V:
                self.add("layout-differs", "keypoint", f"found V = {joints}, but {layout.name} has {layout.V} joints")
        elif joints not in _KNOWN_V:
            self.add(
                "layout", "keypoint", f"found V = {joints}; known layouts have {', '.join(map(str, sorted(_KNOWN_V)))}"
            )

    def check_score(self, keypoint: _Array, *, required: bool) -> _Array | None:
        score = self.array("keypoint_score")
        if score is None:
            if required and "keypoint_score" not in self.record:
                self.add("score-missing", "keypoint_score", f"found none, expected {list(keypoint.shape[:3])}")
            return None
        if not isinstance(score, np.ndarray) or score.dtype.kind not in "fiu":
            self.add("score-dtype", "keypoint_score", f"found {_kind(score)}, expected an array of floats")
            return None
        if score.shape != keypoint.shape[:3]:
            self.add("score-shape", "keypoint_score", f"found {_kind(score)}, expected {list(keypoint.shape[:3])}")
            return None
        if score.dtype.kind != "f":
            self.add("score-dtype", "keypoint_score", f"found {_kind(score)}, expected floats")
        return score.astype(np.float32)

    def check_values(self, keypoint: _Array, score: _Array | None, size: tuple[int, int] | None) -> None:
        # float16 overflows in sums; every measure is taken in float32.
        values = keypoint.astype(np.float32)
        if not self.check_finite("keypoint", values) or (
            score is not None and not self.check_finite("keypoint_score", score)
        ):
            return
        absent = values[..., 0] == 0
        for axis in range(1, values.shape[-1]):
            absent &= values[..., axis] == 0
        if absent.all():
            self.add("no-joints", "keypoint", f"found zeros only in {_kind(keypoint)}")
            return
        empty = np.count_nonzero(absent.all(axis=(0, 2)))
        if empty:
            share = empty / absent.shape[1]
            self.add("empty-frames", "keypoint", f"found {empty} of {absent.shape[1]} frames with nobody ({share:.0%})")
        if score is not None:
            self.check_score_values(score, absent)
        if values.shape[-1] == 2:
            self.check_pixels(keypoint.dtype, values, size)
        if len(values) > 1:
            swaps = count_swaps(values, absent)
            if swaps:
                self.add("slots-swap", "keypoint", f"found {swaps} changes of place between neighbouring frames")

    def check_finite(self, key: str, values: _Array) -> bool:
        finite = np.isfinite(values)
        if finite.all():
            return True
        bad = np.argwhere(~finite)
        place = ", ".join(map(str, bad[0]))
        self.add("not-finite", key, f"found {len(bad):,} that are NaN or infinite, the first at [{place}]")
        return False

    def check_score_values(self, score: _Array, absent: _Array) -> None:
        low, high = float(score.min()), float(score.max())
        if low < SCORE_RANGE[0] or high > SCORE_RANGE[1]:
            self.add("score-range", "keypoint_score", f"found scores from {low:.3g} to {high:.3g}, expected 0 to 1")
        halves = (score == 0) != absent
        if halves.any():
            without = np.count_nonzero(halves & absent)
            number = np.count_nonzero(halves)
            what = f"{without:,} without coordinates but with a score, {number - without:,} the other way round"
            self.add("missing-joint", "keypoint", f"found {what}")

    def check_pixels(self, dtype: np.dtype[Any], values: _Array, size: tuple[int, int] | None) -> None:
        x, y = np.ascontiguousarray(values[..., 0]), np.ascontiguousarray(values[..., 1])
        left, right, top, bottom = float(x.min()), float(x.max()), float(y.min()), float(y.max())
        largest = max(-left, right, -top, bottom)
        if largest <= NORMALISED:
            self.add(
                "normalised", "keypoint", f"found x from {left:.2f} to {right:.2f}, y from {top:.2f} to {bottom:.2f}"
            )
            return
        if dtype == np.float16 and largest > COARSE:
            self.add("precision", "keypoint", f"found coordinates to {largest:.0f} in float16")
        if size is None:
            return
        height, width = size
        span = f"found x from {left:.0f} to {right:.0f} and y from {top:.0f} to {bottom:.0f}"
        if right > SWAPPED * width and right <= height and bottom <= SWAPPED * width:
            self.add("img-shape-swapped", "img_shape", f"{span} in a picture of (height, width) = ({height}, {width})")
        elif min(left / width, top / height) < -OUTSIDE or max(right / width, bottom / height) > 1 + OUTSIDE:
            self.add("outside", "keypoint", f"{span} in a picture of (height, width) = ({height}, {width})")

    # -- compressed skeletons [N, V, 3], and the index

    def check_compressed(self, keypoint: _Array) -> None:
        _, joints, columns = keypoint.shape
        if keypoint.dtype.kind != "f":
            self.add("keypoint-dtype", "keypoint", f"found {_kind(keypoint)}, expected floats")
        elif keypoint.size:
            self.check_finite("keypoint", keypoint.astype(np.float32))
        if columns != 3:
            self.add("keypoint-coordinates", "keypoint", f"found {columns}, expected 3: x, y, score")
        self.check_layout(joints, 2)

    def check_index(self, total: int | None, keypoint: _Array | None) -> None:
        if any(str(key).startswith("valid@") for key in self.record):
            self.add("valid-flat", "", "found flat keys valid@...")
        if keypoint is None and "raw_file" not in self.record:
            self.add("raw-file-missing", "", "found no raw_file")
        frames, boxes = self.array("frame_inds"), self.array("box_score")
        if not isinstance(frames, np.ndarray) or frames.ndim != 1 or frames.dtype.kind not in "iu":
            self.add("frame-inds", "frame_inds", f"found {_kind(frames)}, expected a row of ints")
            return
        frames = frames.astype(np.int64)
        self.check_frame_numbers(frames, total)
        lengths = {"frame_inds": len(frames)}
        if isinstance(boxes, np.ndarray) and boxes.ndim == 1:
            lengths["box_score"] = len(boxes)
        if keypoint is not None:
            lengths["keypoint"] = len(keypoint)
        elif self.validator.store is not None:
            stored = self.stored()
            if stored is not None:
                lengths["the kpfile"] = len(stored)
        if len(set(lengths.values())) > 1:
            words = ", ".join(f"{key} {length:,}" for key, length in lengths.items())
            self.add("lengths-differ", "frame_inds", f"found the lengths {words}")
        elif "box_score" in lengths and boxes.dtype.kind == "f":
            self.check_valid(frames, boxes.astype(np.float32))

    def stored(self) -> Any:
        try:
            return self.validator.store[self.id]  # type: ignore[index]
        except (KeyError, ValueError, OSError) as error:
            self.add("kpfile-missing", "raw_file", f"found no skeletons: {error}")
            return None

    def check_frame_numbers(self, frames: _Array, total: int | None) -> None:
        if not len(frames):
            return
        steps = np.diff(frames)
        if (steps < 0).any():
            place = int(np.argmax(steps < 0)) + 1
            self.add("frame-inds-order", "frame_inds", f"found {frames[place]} after {frames[place - 1]} at {place}")
        low, high = int(frames.min()), int(frames.max())
        if low < 0 or (total is not None and high > total - (low == 0)):
            self.add("frame-inds-range", "frame_inds", f"found {low} to {high}, but total_frames is {total}")
            return
        forward = steps[steps > 0]
        step = int(np.bincount(forward).argmax()) if len(forward) else 1
        self.validator.steps[int(low != 0), step] += 1

    def check_valid(self, frames: _Array, boxes: _Array) -> None:
        """`valid` counts the frames with a box of at least a score; compared in float32, as it was made."""
        valid = self.record.get("valid")
        if not isinstance(valid, Mapping):
            return
        for threshold, stated in valid.items():
            if isinstance(threshold, (int, float)):
                counted = len(np.unique(frames[boxes >= np.float32(threshold)]))
                if not _is_int(stated) or stated != counted:
                    self.add("valid-differs", "valid", f"found {stated!r} for {threshold}, box_score counts {counted}")


_KNOWN_V = {layouts.get(name).V for name in layouts.names()}


def count_swaps(values: _Array, absent: _Array) -> int:
    """Count where a slot's person is far from itself and close to another slot's, one frame on.

    Parameters
    ----------
    values : float32 array [M, T, V, C]
    absent : bool array [M, T, V]
    """
    present = ~absent
    number = present.sum(axis=2)
    centres = (values * present[..., None]).sum(axis=2) / np.maximum(number, 1)[..., None]
    here, there = centres[:, :-1], centres[:, 1:]
    ways = np.linalg.norm(here[:, None] - there[None], axis=-1)
    ways[(number[:, None, :-1] == 0) | (number[None, :, 1:] == 0)] = np.inf
    own = np.einsum("iit->it", ways).copy()
    np.einsum("iit->it", ways)[:] = np.inf
    closest = ways.min(axis=1)
    return int(np.count_nonzero((closest < SWAP_SHARE * own) & np.isfinite(own)))


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int))


def _is_size(value: Any) -> bool:
    if not isinstance(value, (tuple, list, np.ndarray)) or (isinstance(value, np.ndarray) and value.ndim != 1):
        return False
    return len(value) == 2 and all(_is_int(side) and side > 0 for side in value)


def _kind(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, (np.ndarray, ArrayHandle)):
        return f"{value.dtype} {list(value.shape)}"
    text = ascii(value) if isinstance(value, (str, int, float, tuple, list)) and not isinstance(value, bool) else ""
    if text and len(text) <= 40:
        return text
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}" if value is not None else "None"
