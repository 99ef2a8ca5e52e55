import copy
import pickle
import weakref
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pysklnb import decompress, load, quality, sample, validate
from pysklnb.layouts import Layout
from pysklnb.sources import ArrayHandle, BytesSource, Form
from pysklnb.validation import CLIPS_AT_ONCE, RULES

# ---------------------------------------------------------------------------------------------------------------
# Three clean files: pixels, metres, and an index


def walkers(people, frames, joints, spots, dtype=np.float32):
    """People in a row who walk a little, [M, T, V, 2]: x from 200 to 800, y from 100 to 500."""
    rng = np.random.default_rng(people * 1000 + frames)
    body = rng.uniform(-60, 60, (people, 1, joints, 2))
    spots = np.linspace(*spots, people)[:, None, None, None] * [1, 0] + [0, 300]
    steps = np.arange(frames)[None, :, None, None] * [3, 1]
    return (spots + body + steps).astype(dtype)


def flat_clip(name, label, people=1, frames=8):
    keypoint = walkers(people, frames, 17, (300, 700))
    return {
        "frame_dir": name,
        "label": label,
        "img_shape": (540, 960),
        "original_shape": (540, 960),
        "total_frames": frames,
        "keypoint": keypoint,
        "keypoint_score": np.full(keypoint.shape[:3], 0.9, np.float32),
    }


@cache
def clean_flat():
    clips = [flat_clip(name, number % 2, people=1 + number % 2) for number, name in enumerate("abcdef")]
    return {"split": {"train": list("abcd"), "val": list("ef")}, "annotations": clips}


@cache
def clean_deep():
    clips = []
    for number in range(6):
        name = f"S001C00{1 + number % 3}P00{1 + number // 3}R001A00{1 + number % 2}"
        keypoint = walkers(1, 8, 25, (300, 700)) / 300
        depth = np.full((1, 8, 25, 1), 3)
        clips.append(
            {
                "frame_dir": name,
                "label": number % 2,
                "keypoint": np.concatenate([keypoint, depth], axis=-1).astype(np.float16),
                "total_frames": 8,
            }
        )
    ids = [clip["frame_dir"] for clip in clips]
    split = {f"{protocol}_{part}": ids[:4] if part == "train" else ids[4:] for protocol in ("xsub", "xview")
             for part in ("train", "val")}  # fmt: skip
    return {"split": split, "annotations": clips}


@cache
def clean_index():
    clips = []
    for number, name in enumerate("abcd"):
        frames = np.repeat(np.arange(1, 20, 2), 2).astype(np.int16)
        boxes = np.linspace(0.55, 0.99, len(frames)).astype(np.float16)
        clips.append(
            {
                "frame_dir": name,
                "label": number % 2,
                "img_shape": (256, 340),
                "original_shape": (256, 340),
                "total_frames": 20,
                "frame_inds": frames,
                "box_score": boxes,
                "valid": {t: len(set(frames[boxes.astype("f4") >= np.float32(t)].tolist())) for t in (0.5, 0.7, 0.9)},
                "raw_file": "data/k400/kpfiles/1.pkl",
            }
        )
    return {"split": {"train": list("abc"), "val": ["d"]}, "annotations": clips}


CLEAN = {"flat": clean_flat, "deep": clean_deep, "index": clean_index}
CLEAN_NOTES = {
    "flat": {("people", "annotations")},
    "deep": set(),
    "index": {("frame-inds-base", "annotations"), *(("kpfiles-not-read", f"annotations[{n}]") for n in range(4))},
}


def kpfiles():
    """Skeletons for the clean index, [N, V, 3] by id."""
    return {name: rows() for name in "abcd"}


def rows(number=20, joints=17):
    """Compressed skeletons [N, V, 3] within a picture."""
    return np.full((number, joints, 3), (100, 200, 0.9), np.float16)


def places_of(report):
    return {(finding.code, finding.where) for finding in report.findings}


@pytest.mark.parametrize("base", CLEAN)
def test_a_clean_file_has_notes_only(base):
    report = validate(CLEAN[base]())
    assert places_of(report) == CLEAN_NOTES[base]
    assert report.ok


# ---------------------------------------------------------------------------------------------------------------
# One fault each


def put(key, value, clip=1):
    """Set a key of a clip; a function makes the value from the old one."""

    def change(data):
        record = data["annotations"][clip]
        record[key] = value(record[key]) if callable(value) else value

    return change


def drop(key, clip=1):
    def change(data):
        del data["annotations"][clip][key]

    return change


def all_of(*changes):
    def change(data):
        for one in changes:
            one(data)

    return change


def add_clip(clip):
    def change(data):
        data["annotations"].append(clip)

    return change


def split(**new):
    def change(data):
        data["split"] |= new

    return change


def without_split(data):
    del data["split"]


def train_only(data):
    data["split"] = {"train": list("abcdef")}


def nothing(data):
    """The fault is in what `validate` is given besides."""


def rename_split(old, new):
    def change(data):
        data["split"] = {new if name == old else name: ids for name, ids in data["split"].items()}

    return change


def rename_clip(new, clip=1):
    def change(data):
        old = data["annotations"][clip]["frame_dir"]
        data["annotations"][clip]["frame_dir"] = new
        data["split"] = {name: [new if i == old else i for i in ids] for name, ids in data["split"].items()}

    return change


def everywhere(change):
    def change_all(data):
        for clip in data["annotations"]:
            change(clip)

    return change_all


def set_at(place, value):
    """Change an array at a place."""

    def change(array):
        array = array.copy()
        array[place] = value
        return array

    return change


def absent_at(place):
    return all_of(put("keypoint", set_at(place, 0)), put("keypoint_score", set_at(place, 0)))


def swapped_slots(array):
    array = array.copy()
    array[:, 4:] = array[::-1, 4:]
    return array


def to_filename(clip):
    clip["filename"] = clip.pop("frame_dir")


def next_label(clip):
    clip["label"] += 1


def to_flat_keys(data):
    clip = data["annotations"][1]
    clip |= {f"valid@{threshold}": number for threshold, number in clip.pop("valid").items()}


def with_score_inside(data):
    clip = data["annotations"][1]
    clip["keypoint"] = np.concatenate([clip["keypoint"], clip.pop("keypoint_score")[..., None]], axis=-1)


def with_joints(joints):
    """A clip with so many joints."""
    keypoint = walkers(2, 8, joints, (300, 700))
    return {**flat_clip("a", 0), "keypoint": keypoint, "keypoint_score": np.ones(keypoint.shape[:3], "f4")}


def other_joints(data):
    first, second, *others = data["annotations"]
    return [first, {**with_joints(18), "frame_dir": second["frame_dir"], "label": second["label"]}, *others]


def damaged(shape):
    """An array in a file, the text of which is none."""
    return ArrayHandle(BytesSource(b"\xff" * 100), 0, 100, shape, Form(np.dtype("f4"), "utf-8"))


SKELETONS = "annotations[1].keypoint"
SCORES = "annotations[1].keypoint_score"
FRAMES = "annotations[1].frame_inds"

# name: code, place, change, and what is not the default
FAULTS = {
    "no such file": ("unreadable", "", lambda data: "no/such/file.pkl"),
    "a path that cannot be one": ("unreadable", "", lambda data: "a\0b.pkl"),
    "arrays and labels": ("form", "", lambda data: (["X"], ["y"])),
    "annotations that are a number": ("form", "", lambda data: {"annotations": 3}),
    "annotations in a dict": (
        "annotations-not-list",
        "annotations",
        lambda data: {**data, "annotations": {clip["frame_dir"]: clip for clip in data["annotations"]}},
    ),
    "a list for the splits": (
        "split-not-dict",
        "split",
        lambda data: {**data, "split": list("abc")},
        {"besides": {("no-split", "split")}},
    ),
    "a masked array for a value": ("not-data", "annotations[1].box", put("box", np.ma.masked_equal([1, 2], 2))),
    "a masked label": ("label-type", "annotations[1].label", put("label", np.ma.masked)),
    "a path for a value": ("not-data", "annotations[1].video", put("video", Path("b.mp4"))),
    "an empty list": ("no-clips", "annotations", lambda data: []),
    "None for a clip": ("clip-none", "annotations[6]", add_clip(None)),
    "a name for a clip": ("clip-not-dict", "annotations[6]", add_clip("g")),
    "no split in a dict": ("no-split", "split", without_split),
    "splits for split": ("no-split", "split", lambda data: data.update(splits=data.pop("split"))),
    "no split in a list": ("no-split", "", lambda data: data["annotations"]),
    "train only": ("split-single", "split['train']", train_only),
    "a number for a split": ("split-not-list", "split['test']", split(test=6)),
    "a text for a split": ("split-not-list", "split['test']", split(test="abc")),
    "an array for a split": ("split-not-list", "split['test']", split(test=np.array(6))),
    "a dict for an id": ("split-not-list", "split['test'][0]", split(test=[{"frame_dir": "a"}])),
    "an empty split": ("split-empty", "split['test']", split(test=[])),
    "an id of no clip": ("split-unknown-id", "split['val'][2]", split(val=["e", "f", "x"])),
    "an id with its suffix": ("split-unknown-id", "split['val'][2]", split(val=["e", "f", "videos/f.avi"])),
    "an id twice in a split": ("split-repeated-id", "split['val'][2]", split(val=["e", "f", "e"])),
    "a clip to train and test on": ("split-leak", "split['val'][2]", split(val=["e", "f", "a"])),
    "a leak in a fold with longer names": (
        "split-leak",
        "split['validation'][1]",
        lambda data: {**data, "split": {"training": list("abcd"), "validation": list("eaf")}},
        {"besides": {("split-name", "split['training']"), ("split-name", "split['validation']")}},
    ),
    "a leak in a fold": ("split-leak", "split['test4'][1]", split(train4=["a", "b"], test4=["c", "b"])),
    "a split in capitals": ("split-name", "split['Val']", rename_split("val", "Val")),
    "a forgotten clip": ("clip-in-no-split", "annotations[5]", split(val=["e"])),
    "an empty id": ("id-missing", "annotations[6].frame_dir", add_clip(flat_clip("", 0))),
    "a number as id": ("id-missing", "annotations[6].frame_dir", add_clip(flat_clip(6, 0))),
    "an id twice": ("id-repeated", "annotations[6].frame_dir", add_clip(flat_clip("a", 0))),
    "the older id key": ("id-in-filename", "annotations[0].filename", everywhere(to_filename)),
    "total_frames forgotten": ("total-frames", "annotations[1].total_frames", drop("total_frames")),
    "total_frames as a text": ("total-frames", "annotations[1].total_frames", put("total_frames", "8")),
    "total_frames as a float": ("total-frames", "annotations[1].total_frames", put("total_frames", 8.0)),
    "total_frames of the video": ("total-frames-differ", "annotations[1].total_frames", put("total_frames", 9)),
    "persons after frames": (
        "total-frames-differ",
        "annotations[1].total_frames",
        all_of(put("keypoint", lambda k: k.swapaxes(0, 1)), put("keypoint_score", lambda s: s.swapaxes(0, 1))),
    ),
    "no frames": (
        "no-frames",
        SKELETONS,
        all_of(
            put("keypoint", np.zeros((1, 0, 17, 2), "f2")),
            put("keypoint_score", np.zeros((1, 0, 17), "f2")),
            put("total_frames", 0),
        ),
    ),
    "nobody": (
        "no-people",
        SKELETONS,
        all_of(put("keypoint", np.zeros((0, 8, 17, 2), "f2")), put("keypoint_score", np.zeros((0, 8, 17), "f2"))),
    ),
    "img_shape forgotten": ("img-shape", "annotations[1].img_shape", drop("img_shape")),
    "img_shape with channels": ("img-shape", "annotations[1].img_shape", put("img_shape", (540, 960, 3))),
    "img_shape of floats": ("img-shape", "annotations[1].img_shape", put("img_shape", (540.0, 960.0))),
    "img_shape None": ("img-shape", "annotations[1].img_shape", put("img_shape", None)),
    "img_shape of zeros": ("img-shape", "annotations[1].img_shape", put("img_shape", (0, 0))),
    "width before height": ("img-shape-swapped", "annotations[1].img_shape", put("img_shape", (960, 540))),
    "original_shape None": ("original-shape", "annotations[1].original_shape", put("original_shape", None)),
    "normalised": ("normalised", SKELETONS, put("keypoint", lambda k: k / 1000)),
    "normalised to -1...1": ("normalised", SKELETONS, put("keypoint", lambda k: k / 500 - 1)),
    "another unit": ("outside", SKELETONS, put("keypoint", lambda k: k * 10)),
    "keypoint forgotten": ("keypoint-missing", SKELETONS, drop("keypoint")),
    "keypoint as a list": ("keypoint-dtype", SKELETONS, put("keypoint", np.ndarray.tolist)),
    "keypoint of ints": ("keypoint-dtype", SKELETONS, put("keypoint", lambda k: k.astype(int))),
    "keypoint of objects": ("keypoint-dtype", SKELETONS, put("keypoint", lambda k: k.astype(object))),
    "persons forgotten": ("keypoint-axes", SKELETONS, put("keypoint", lambda k: k[0])),
    "joints in one row": ("keypoint-axes", SKELETONS, put("keypoint", lambda k: k[0].reshape(8, 34))),
    "four coordinates": (
        "keypoint-coordinates",
        SKELETONS,
        put("keypoint", lambda k: np.concatenate([k, k], axis=-1)),
    ),
    "2D in a 3D data set": (
        "keypoint-coordinates",
        SKELETONS,
        put("keypoint", lambda k: np.ascontiguousarray(k[..., :2])),
        {"base": "deep", "dataset": "ntu60_3danno", "besides": {("img-shape", "annotations[1].img_shape")}},
    ),
    "13 joints": ("layout", "keypoint", lambda data: with_joints(13)),
    "BODY_25": ("layout", "keypoint", lambda data: with_joints(25)),
    "18 joints among 17": ("joints-differ", SKELETONS, lambda data: {**data, "annotations": other_joints(data)}),
    "compressed skeletons of 18 joints among 17": (
        "joints-differ",
        "annotations[1].raw_file",
        nothing,
        {"base": "index", "store": {**kpfiles(), "b": rows(20, 18)}},
    ),
    "channels before frames": ("keypoint-coordinates", SKELETONS, put("keypoint", lambda k: k.transpose(0, 3, 1, 2))),
    "millimetres": ("units", SKELETONS, put("keypoint", lambda k: k.astype("f4") * 1000), {"base": "deep"}),
    "18 joints for 17": (
        "layout-differs",
        SKELETONS,
        all_of(put("keypoint", walkers(2, 8, 18, (300, 700))), put("keypoint_score", np.ones((2, 8, 18), "f4"))),
        {"layout": "coco"},
    ),
    "18 joints in NTU": (
        "layout-differs",
        SKELETONS,
        put("keypoint", lambda k: k[:, :, :18]),
        {"base": "deep", "dataset": "ntu60_3danno"},
    ),
    "x, y, score": ("score-inside", SKELETONS, with_score_inside),
    "scores forgotten": ("score-missing", SCORES, drop("keypoint_score")),
    "scores with a last axis": ("score-shape", SCORES, put("keypoint_score", lambda s: s[..., None])),
    "scores of one person": ("score-shape", SCORES, put("keypoint_score", lambda s: s[0])),
    "scores as a list": ("score-dtype", SCORES, put("keypoint_score", np.ndarray.tolist)),
    "scores None": ("score-dtype", SCORES, put("keypoint_score", None)),
    "scores of ints": ("score-dtype", SCORES, put("keypoint_score", lambda s: np.ones_like(s, int))),
    "scores in percent": ("score-range", SCORES, put("keypoint_score", lambda s: s * 100)),
    "scores below 0": ("score-range", SCORES, put("keypoint_score", set_at((0, 0, 0), -0.1))),
    "damaged keypoints": ("array-damaged", SKELETONS, put("keypoint", damaged((2, 8, 17, 2)))),
    "damaged scores": ("array-damaged", SCORES, put("keypoint_score", damaged((2, 8, 17)))),
    "NaN": ("not-finite", SKELETONS, put("keypoint", set_at((0, 3, 4), np.nan))),
    "infinity": ("not-finite", SKELETONS, put("keypoint", set_at((0, 3, 4, 1), -np.inf))),
    "more than float32 holds": ("outside", SKELETONS, put("keypoint", lambda k: k.astype(float) * 1e300)),
    "NaN in 3D": ("not-finite", SKELETONS, put("keypoint", set_at((0, 3, 4, 2), np.nan)), {"base": "deep"}),
    "NaN for a score": ("not-finite", SCORES, put("keypoint_score", set_at((0, 3, 4), np.nan))),
    "zeros": ("no-joints", SKELETONS, all_of(put("keypoint", np.zeros_like), put("keypoint_score", np.zeros_like))),
    "zeros in 3D": ("no-joints", SKELETONS, put("keypoint", np.zeros_like), {"base": "deep"}),
    "a frame with nobody": ("empty-frames", SKELETONS, absent_at((slice(None), 3))),
    "a score for nothing": ("missing-joint", SKELETONS, put("keypoint", set_at((0, 3, 4), 0))),
    "a joint without a score": ("missing-joint", SKELETONS, put("keypoint_score", set_at((0, 3, 4), 0))),
    "large float16": (
        "precision",
        SKELETONS,
        all_of(
            put("keypoint", lambda k: (k * 2).astype("f2")),
            put("img_shape", (1080, 1920)),
            put("original_shape", (1080, 1920)),
        ),
    ),
    "no labels": ("no-labels", "annotations", everywhere(lambda clip: clip.pop("label"))),
    "a label forgotten": ("label-missing", "annotations[1].label", drop("label")),
    "no labels in a data set that has them": (
        "label-missing",
        "annotations[1].label",
        drop("label"),
        {"base": "deep", "dataset": "ntu60_3danno"},
    ),
    "a name for a label": ("label-type", "annotations[1].label", put("label", "wave")),
    "a float for a label": ("label-type", "annotations[1].label", put("label", 1.0)),
    "None for a label": ("label-type", "annotations[1].label", put("label", None)),
    "True for a label": ("label-type", "annotations[1].label", put("label", True)),
    "an array for a label": ("label-type", "annotations[1].label", put("label", np.array(1))),
    "a list for a label": ("label-type", "annotations[1].label", put("label", [1])),
    "a label of 5,000 digits": ("label-type", "annotations[1].label", put("label", 10**5000)),
    "a numpy label": ("label-numpy", "annotations[1].label", put("label", np.int64(1))),
    "a negative label": ("label-range", "annotations[1].label", put("label", -1)),
    "a label too many": ("label-range", "annotations[1].label", put("label", 2), {"num_classes": 2}),
    "a label beyond NTU60": (
        "label-range",
        "annotations[1].label",
        all_of(put("label", 60), rename_clip("S001C001P001R001A061")),
        {"base": "deep", "dataset": "ntu60_3danno", "besides": {("label-gaps", "annotations")}},
    ),
    "labels from 1": ("label-from-1", "annotations", everywhere(next_label)),
    "labels with gaps": ("label-gaps", "annotations", put("label", 3)),
    "frame_inds as a list": ("frame-inds", FRAMES, put("frame_inds", np.ndarray.tolist), {"base": "index"}),
    "frame_inds of floats": ("frame-inds", FRAMES, put("frame_inds", lambda f: f / 1), {"base": "index"}),
    "frame_inds of two axes": ("frame-inds", FRAMES, put("frame_inds", lambda f: f[None]), {"base": "index"}),
    "frames out of order": ("frame-inds-order", FRAMES, put("frame_inds", set_at([2, 4], [5, 3])), {"base": "index"}),
    "frames beyond the video": ("frame-inds-range", FRAMES, put("total_frames", 18), {"base": "index"}),
    "frames from 0 beyond the video": (
        "frame-inds-range",
        FRAMES,
        all_of(put("frame_inds", lambda f: f - 1), put("total_frames", 18)),
        {"base": "index"},
    ),
    "box_score of two axes": (
        "box-score",
        "annotations[1].box_score",
        put("box_score", lambda b: b[None]),
        {"base": "index"},
    ),
    "box_score in percent": (
        "score-range",
        "annotations[1].box_score",
        all_of(put("box_score", lambda b: b * 100), put("valid", {0.5: 10})),
        {"base": "index"},
    ),
    "NaN in box_score": (
        "not-finite",
        "annotations[1].box_score",
        all_of(put("box_score", set_at(3, np.nan)), drop("valid")),
        {"base": "index"},
    ),
    "a box too few": ("lengths-differ", FRAMES, put("box_score", lambda b: b[1:]), {"base": "index"}),
    "a skeleton too few": (
        "lengths-differ",
        FRAMES,
        nothing,
        {"base": "index", "store": {**kpfiles(), "b": rows(19)}},
    ),
    "skeletons in the index, one too few": (
        "lengths-differ",
        FRAMES,
        put("keypoint", rows(19)),
        {"base": "index"},
    ),
    "skeletons without scores": (
        "keypoint-coordinates",
        SKELETONS,
        put("keypoint", np.ones((20, 17, 2), "f2")),
        {"base": "index"},
    ),
    "NaN in compressed skeletons": (
        "not-finite",
        SKELETONS,
        put("keypoint", np.full((20, 17, 3), np.nan, "f2")),
        {"base": "index"},
    ),
    "compressed skeletons of two axes": (
        "keypoint-axes",
        SKELETONS,
        put("keypoint", np.ones((20, 51), "f2")),
        {"base": "index"},
    ),
    "valid as a number": ("valid-form", "annotations[1].valid", put("valid", 10), {"base": "index"}),
    "valid with texts as keys": ("valid-form", "annotations[1].valid", put("valid", {"0.5": 10}), {"base": "index"}),
    "valid miscounted": ("valid-differs", "annotations[1].valid", put("valid", {0.5: 9}), {"base": "index"}),
    "flat valid keys": ("valid-flat", "annotations[1]", to_flat_keys, {"base": "index"}),
    "raw_file None": ("raw-file", "annotations[1].raw_file", put("raw_file", None), {"base": "index"}),
    "no raw_file": ("raw-file-missing", "annotations[1]", drop("raw_file"), {"base": "index"}),
    "a clip that is in no kpfile": (
        "kpfile-missing",
        "annotations[1].raw_file",
        nothing,
        {"base": "index", "store": {name: rows for name, rows in kpfiles().items() if name != "b"}},
    ),
    "a kpfile that is damaged": (
        "kpfile-unreadable",
        "annotations[1].raw_file",
        nothing,
        {"base": "index", "store": {**kpfiles(), "b": damaged((20, 17, 3))}},
    ),
    "normalised compressed skeletons": (
        "normalised",
        SKELETONS,
        put("keypoint", rows() / np.float16(400)),
        {"base": "index"},
    ),
    "width before height in an index": (
        "img-shape-swapped",
        "annotations[1].img_shape",
        all_of(put("keypoint", rows() * np.float16([3, 0.5, 1])), put("img_shape", (540, 256))),
        {"base": "index"},
    ),
    "compressed skeletons outside": (
        "outside",
        "annotations[1].raw_file",
        nothing,
        {"base": "index", "store": {**kpfiles(), "b": rows() * np.float16([8, 1, 1])}},
    ),
    "compressed scores in percent": (
        "score-range",
        SKELETONS,
        put("keypoint", rows() * np.float16([1, 1, 100])),
        {"base": "index"},
    ),
    "compressed zeros": ("no-joints", SKELETONS, put("keypoint", rows() * 0), {"base": "index"}),
    "slots that swap": ("slots-swap", SKELETONS, put("keypoint", swapped_slots)),
    "a key of Kinetics forgotten": (
        "dataset-keys",
        "annotations[1].valid",
        drop("valid"),
        {"base": "index", "dataset": "k400_hrnet"},
    ),
    "other splits": (
        "dataset-splits",
        "split",
        rename_split("xview_val", "xset_val"),
        {"base": "deep", "dataset": "ntu60_3danno"},
    ),
    "no NTU name": (
        "ntu-name",
        "annotations[1].frame_dir",
        rename_clip("me"),
        {"base": "deep", "dataset": "ntu60_3danno"},
    ),
    "another label than in the name": (
        "ntu-label",
        "annotations[1].label",
        put("label", 0),
        {"base": "deep", "dataset": "ntu60_3danno"},
    ),
}  # fmt: skip


def broken(change, base="flat"):
    data = copy.deepcopy(CLEAN[base]())
    replacement = change(data)
    return data if replacement is None else replacement


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_gives_its_code_at_its_place_and_nothing_else(fault):
    code, where, change, *more = FAULTS[fault]
    options = dict(more[0]) if more else {}
    base, besides = options.pop("base", "flat"), options.pop("besides", set())
    report = validate(broken(change, base), **options)
    assert places_of(report) - CLEAN_NOTES[base] == {(code, where)} | besides
    assert report.ok == all(RULES[code].severity != "error" for code in report.counts)
    found = next(finding for finding in report.findings if finding.code == code)
    assert found.message
    assert found.hint


def test_every_rule_is_shown_by_a_fault_or_by_a_clean_file():
    shown = {fault[0] for fault in FAULTS.values()} | {code for notes in CLEAN_NOTES.values() for code, _ in notes}
    assert shown == set(RULES)


@pytest.mark.parametrize(
    ("fault", "message", "hint"),
    [
        ("an id with its suffix", "found 'videos/f.avi', which no clip has", "Write it as the clip does: 'f'."),
        ("a clip to train and test on", "found 'a', which split['train'][0] is too", "Take it out of one"),
        ("an id twice", "found 'a', as in annotations[0]", "Rename or remove one"),
        ("persons after frames", "found 8, but keypoint has T = 2", "If the axes are [T, M, V, C], swap the first two"),
        ("persons forgotten", "found float32 [8, 17, 2], expected [M, T, V, C]", "becomes [1, T, V, C]"),
        ("BODY_25", "found V = 25: 25 joints in pixels may be nturgb+d's, or", "validate(..., layout=Layout(...))"),
        ("scores with a last axis", "found float32 [2, 8, 17, 1], expected [2, 8, 17]", "keypoint_score[..., 0]"),
        ("an array for a label", "found int64 [], expected an int", "int(label)"),
        ("a float for a label", "found 1.0, expected an int", "int(label)"),
        ("a name for a label", "found 'wave', expected an int", "names.index"),
        ("18 joints among 17", "found V = 18, but annotations[0] has V = 17", "Bring all to one layout"),
        ("channels before frames", "found float32 [2, 2, 8, 17], expected", "np.moveaxis(keypoint, 1, -1)"),
        ("joints in one row", "found float32 [8, 34], expected [M, T, V, C]", "keypoint.reshape(1, 8, 17, 2)"),
        ("splits for split", "found no split, but 'splits'", "Call it 'split'."),
        ("no split in a dict", "found no split", "Before training"),
        ("a path for a value", "video: found pathlib.P", "Make it text"),
        ("annotations in a dict", "annotations is a dict with the keys 'a', 'b'", "list(annotations.values())"),
        ("a label of 5,000 digits", "found an int, expected an int", "Number the classes"),
        ("img_shape of floats", "found (540.0, 960.0), expected (height, width)", "the height first: (1080, 1920)"),
        ("NaN", "found 2 that are NaN or infinite, the first at [0, 3, 4, 0]", "Set such joints to zero"),
        ("a score for nothing", "found 1 with a score and no coordinates, 0 the other way round", "Set both to zero"),
        ("a joint without a score", "found 0 with a score and no coordinates, 1 the other way", "Set both to zero"),
        ("a frame with nobody", "found 1 of 8 frames with nobody (12%)", "a model sees zeros there"),
        ("frames out of order", "found 3 after 5, at 3", "Sort the skeletons"),
        ("frames beyond the video", "found 1 to 19, but total_frames is 18", "Check total_frames"),
        ("valid miscounted", "found 9 for 0.5, counted 10", "at least that score"),
        ("arrays and labels", "the data holds a tuple of 2 items", "Make it {'split': {name: [ids]}"),
        ("no such file", "no such file", "Check the path"),
    ],
)
def test_a_finding_says_what_was_found_and_what_to_do(fault, message, hint):
    code, _, change, *more = FAULTS[fault]
    report = validate(broken(change, more[0]["base"] if more else "flat"))
    found = next(finding for finding in report.findings if finding.code == code)
    assert message in found.message
    assert hint in found.hint


def test_all_faults_are_told_at_once_in_the_order_of_the_file():
    data = broken(all_of(put("label", "b", 4), put("total_frames", 3, 2), split(test=[]), drop("keypoint_score", 2)))
    codes = [finding.code for finding in validate(data).findings]
    assert codes == ["split-empty", "total-frames-differ", "score-missing", "label-type", "people"]


def test_the_steps_of_building_an_annotation_are_told_one_after_the_other():
    whole = flat_clip("mine", 0)
    found = []
    for number in range(len(whole) + 1):
        report = validate(dict(list(whole.items())[:number]))
        found.append([finding.code for finding in report.findings])
    assert found == [
        ["id-missing", "total-frames", "keypoint-missing", "no-labels"],
        ["total-frames", "keypoint-missing", "no-labels"],
        *[["total-frames", "keypoint-missing"]] * 3,
        ["keypoint-missing"],
        ["score-missing"],
        [],
    ]


# ---------------------------------------------------------------------------------------------------------------
# Official files, and what is odd in them


@pytest.mark.parametrize("named", [False, True], ids=["as any file", "as that data set"])
@pytest.mark.parametrize("name", ["ntu60_hrnet", "ntu60_3danno", "ucf101_hrnet", "k400_hrnet"])
def test_a_miniature_has_neither_errors_nor_warnings(name, named):
    report = validate(sample(name), dataset=name if named else None)
    assert {RULES[code].severity for code in report.counts} == {"note"}


def test_the_kpfiles_have_no_faults_and_fit_the_index():
    assert validate(sample("k400_kpfiles")).counts == {}
    store = {clip["frame_dir"]: clip for clip in load(sample("k400_kpfiles"))}
    with_skeletons, without = (validate(sample("k400_hrnet"), store=kpfiles).counts for kpfiles in (store, None))
    assert {**with_skeletons, "kpfiles-not-read": 12} == without
    assert validate(sample("k400_hrnet"), store=sample("k400_kpfiles")).counts == with_skeletons


def as_float16(data):
    for clip in data["annotations"]:
        for key in ("keypoint", "keypoint_score"):
            clip[key] = clip[key].astype(np.float16)


def zero_second_body(data):
    clip = data["annotations"][1]
    clip["keypoint"] = np.concatenate([clip["keypoint"], np.zeros_like(clip["keypoint"])])


def without_valid_and_boxes(data):
    for clip in data["annotations"]:
        del clip["valid"], clip["box_score"], clip["raw_file"]
        clip["frame_inds"] = clip["frame_inds"] - 1
        clip["keypoint"] = rows(len(clip["frame_inds"]))


def old_kinetics(data):
    for clip in data["annotations"]:
        clip["filename"] = clip.pop("frame_dir")
        clip |= {f"valid@{threshold}": number for threshold, number in clip.pop("valid").items()}


def float64_boxes(data):
    data["annotations"][1] |= {"box_score": np.full(20, 0.8), "valid": {np.float32(0.8): 10}}


def left_of_the_picture(data):
    data["annotations"][1]["keypoint"] -= np.float32([411, 0])


ODD = {
    "scores to 1.024": ("flat", put("keypoint_score", set_at((0, 0, 0), 1.024)), set()),
    "211 px outside": ("flat", left_of_the_picture, set()),
    "absent at first": ("flat", absent_at((1, slice(0, 3))), set()),
    "nobody": ("flat", FAULTS["nobody"][2], {"no-people"}),
    "float16": ("flat", as_float16, set()),
    "num_person_raw": ("flat", put("num_person_raw", 2), set()),
    "img_shape always (1080, 1920)": ("flat", put("img_shape", (1080, 1920)), set()),
    "without original_shape": ("flat", drop("original_shape"), set()),
    "img_shape as a list": ("flat", put("img_shape", [540, 960]), set()),
    "img_shape as an array": ("flat", put("img_shape", np.array([540, 960])), set()),
    "numpy label": ("flat", put("label", np.int64(1)), {"label-numpy"}),
    "split valid": ("flat", rename_split("val", "valid"), {"split-name"}),
    "split xsub_test": ("deep", rename_split("xsub_val", "xsub_test"), {"split-name"}),
    "boxes in float64": ("index", float64_boxes, set()),
    "clip in several folds": ("flat", split(train2=["a", "e", "f"], test2=["b", "c", "d"]), set()),
    "ids in an array": ("flat", split(train=np.array(list("abcd")), val=("e", "f")), set()),
    "zero-padded second body": ("deep", zero_second_body, {"people"}),
    "empty frames in 3D": ("deep", put("keypoint", set_at((0, 3), 0)), {"empty-frames"}),
    "own compressed skeletons": ("index", without_valid_and_boxes, set()),
    "old Kinetics index": ("index", old_kinetics, {"id-in-filename", "valid-flat"}),
    "more than ten people in a frame": (
        "index",
        all_of(put("frame_inds", np.ones(20, "i2")), put("valid", {0.5: 1})),
        set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("base", "change", "notes"), ODD.values(), ids=ODD)
def test_what_official_files_do_is_no_fault(base, change, notes):
    report = validate(broken(change, base))
    assert {code for code, _ in places_of(report) - CLEAN_NOTES[base]} == notes
    assert {RULES[code].severity for code in report.counts} <= {"note"}


@pytest.mark.parametrize(
    ("frames", "fields", "base"),
    [
        ([3, 4], {}, 0),
        ([3, 50], {}, 1),
        ([3, 4], {"box_score": np.ones(2, np.float16)}, 1),
        ([0, 4], {"box_score": np.ones(2, np.float16)}, 0),
    ],
    ids=["own", "to the end", "of an index", "from 0"],
)
def test_frames_are_said_to_begin_where_decompress_has_them_begin(frames, fields, base):
    clip = {"frame_dir": "a", "label": 0, "img_shape": (9, 9), "total_frames": 50, "keypoint": rows(2) / 30, **fields}
    clip["frame_inds"] = np.array(frames, np.int16)
    (note,) = [finding for finding in validate(clip).findings if finding.code == "frame-inds-base"]
    assert f"counted from {base}," in note.message
    assert decompress(clip)["frame_numbers"][0] == frames[0] - base


@pytest.mark.parametrize(("stated", "right"), [(0, True), (10, False)], ids=["in float32", "in float16"])
def test_boxes_are_counted_in_float32(stated, right):
    boxes = np.full(20, 0.9, np.float16)  # which is a little less than 0.9
    report = validate(broken(all_of(put("box_score", boxes), put("valid", {0.9: stated})), "index"))
    assert ("valid-differs" not in report.counts) == right


# ---------------------------------------------------------------------------------------------------------------
# It bears anything, and leaves it as it was

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-(2**63), 2**64, "\ud800", "a" * 5000, b"", "a", np.int64(3), np.float16(2), np.str_("a")])
    | st.just(5000).map(lambda digits: 10**digits)  # which has no text
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.builds(lambda: np.array([None, "a"], object))
    | npst.arrays(
        st.sampled_from(["f2", "f4", "f8", "i2", "u8", "?", "U3", "c8", "M8[s]"]),
        npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=3),
    )
    | npst.arrays(st.sampled_from(["f2", "f4", "f8"]), st.sampled_from([(2, 8, 17, 2), (2, 8, 17), (20, 17, 3), (20,)]))
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.sampled_from(["keypoint"]), inner, max_size=3)
    ),
    max_leaves=6,
)
PLACES = [
    (base, key)
    for base, make in CLEAN.items()
    for key in (*make()["annotations"][0], "keypoint", "keypoint_score", "filename", "valid@0.5")
]


@settings(max_examples=400)
@given(st.sampled_from(PLACES), anything)
def test_anything_can_stand_in_the_place_of_a_field(place, value):
    base, key = place
    data = CLEAN[base]()
    clips = [{**clip, key: value} if number == 1 else clip for number, clip in enumerate(data["annotations"])]
    report = validate({**data, "annotations": clips}, store=kpfiles())
    assert str(report).encode()
    assert report._repr_html_().startswith("<p><b>in memory: ")


@settings(max_examples=300)
@given(st.sampled_from(["whole", "split", "ids", "id", "annotations", "clip", "extra"]), anything)
def test_anything_can_stand_in_the_place_of_a_part(part, value):
    data = dict(clean_flat())
    if part == "whole":
        data = value
    elif part == "ids":
        data["split"] = {"train": value, "val": ["a"]}
    elif part == "id":
        data["split"] = {"train": ["a", value], "val": ["b", value]}
    elif part == "clip":
        data["annotations"] = [value, *data["annotations"]]
    else:
        data[part] = value
    assert str(validate(data)).encode()


@settings(max_examples=100)
@given(anything)
def test_anything_can_stand_in_a_store(value):
    assert str(validate(clean_index(), store={"a": value, "b": {"keypoint": value}})).encode()


@settings(max_examples=200)
@given(st.sampled_from(["frame_dir", "label", "keypoint", "keypoint_score"]), anything)
def test_quality_bears_anything_in_a_field(key, value):
    clips = [{**clip, key: value} if number == 1 else clip for number, clip in enumerate(clean_flat()["annotations"])]
    assert len(quality(clips)) == 6


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ma.MaskedArray):
        assert repr(found) == repr(expected)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, strict=True)
    else:
        assert found == expected or found != found


@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if "damaged" not in fault[0]])
def test_the_input_is_left_as_it_was(fault):
    data = broken(FAULTS[fault][2], FAULTS[fault][3].get("base", "flat") if len(FAULTS[fault]) > 3 else "flat")
    before = copy.deepcopy(data)
    validate(data)
    assert_same(data, before)


# ---------------------------------------------------------------------------------------------------------------
# What it costs


@pytest.fixture
def file(tmp_path):
    clips = [flat_clip(str(number), number % 2, people=2) for number in range(60)]
    ids = [clip["frame_dir"] for clip in clips]
    data = {"split": {"train": ids[:40], "val": ids[40:]}, "annotations": clips}
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(data, 2))
    return tmp_path / "data.pkl"


@pytest.fixture
def readings(monkeypatch):
    """Record what is read: place in the file and, at that moment, how many arrays are alive."""
    turned, found, alive = ArrayHandle._turned, [], weakref.WeakSet()

    class Counted(np.ndarray):
        __hash__ = object.__hash__

    def count(handle, array):
        array = turned(handle, array).view(Counted)
        alive.add(array)
        found.append((handle.offset, len(alive)))
        return array

    monkeypatch.setattr(ArrayHandle, "_turned", count)
    return found


@pytest.mark.parametrize("name", ["ntu60_hrnet", "ntu60_3danno", "k400_hrnet", "k400_kpfiles"])
def test_each_array_is_read_once(name, readings):
    records = load(sample(name))._records
    arrays = sum(isinstance(value, ArrayHandle) for record in records for value in record.values())
    validate(sample(name))
    assert len(readings) == arrays


def test_the_arrays_of_a_few_clips_at_a_time_are_in_memory(file, readings):
    validate(file)
    assert len(readings) == 120
    assert max(alive for _, alive in readings) <= 2 * CLIPS_AT_ONCE + 2  # and of the last clip of those before


def test_large_clips_are_in_memory_one_at_a_time(file, readings, monkeypatch):
    monkeypatch.setattr("pysklnb.validation.BYTES_AT_ONCE", 1)
    validate(file)
    assert len(readings) == 120
    assert max(alive for _, alive in readings) <= 4


def test_a_file_is_validated_in_silence(file, capfd):
    validate(file)
    quality(file)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("function", [validate, quality])
def test_there_is_a_progress_bar_after_two_seconds_that_goes_away(function, file, monkeypatch):
    bars = []

    def bar(items, **options):
        bars.append(options)
        return items

    monkeypatch.setattr("tqdm.auto.tqdm", bar)
    function(file)
    assert [bar.items() >= {"desc": "clips", "delay": 2, "leave": False}.items() for bar in bars] == [True]


def test_what_hits_every_clip_is_counted_and_the_first_are_kept(file):
    data = dict(load(file))
    data["annotations"] = [{**clip, "label": "x"} for clip in data["annotations"]]
    report = validate(data)
    assert report.counts["label-type"] == 60
    assert [finding.where for finding in report.findings if finding.code == "label-type"] == [
        f"annotations[{number}].label" for number in range(20)
    ]


def test_a_crowd_of_slots_is_not_compared_each_with_each():
    clip = {**flat_clip("a", 0), "total_frames": 40, "keypoint": walkers(3000, 40, 1, (200, 800), np.float16)}
    clip["keypoint_score"] = np.ones((3000, 40, 1), np.float16)
    assert "slots-swap" not in validate(clip).counts  # it would take 3 GB


# ---------------------------------------------------------------------------------------------------------------
# Arguments, and forms of input


def test_a_data_set_can_be_named_for_what_is_loaded_already():
    ds = load(clean_flat())
    assert validate(ds).ok
    assert "keypoint-coordinates" in validate(ds, dataset="ntu60_3danno").counts
    assert "dataset-splits" in validate(load(clean_flat(), dataset="ntu60_hrnet")).counts


def test_nothing_is_inferred_from_the_name_of_a_file(tmp_path):
    path = tmp_path / "ntu60_3danno.pkl"
    path.write_bytes(pickle.dumps(clean_flat()))
    assert places_of(validate(path)) == CLEAN_NOTES["flat"]


def test_unknown_names_are_errors_that_list_the_nearest():
    with pytest.raises(KeyError, match=r"ntu60_hrnt.*nearest: ntu60_hrnet"):
        validate(clean_flat(), dataset="ntu60_hrnt")
    with pytest.raises(ValueError, match="no layout is named 'cocos'"):
        validate(clean_flat(), layout="cocos")


def test_a_layout_of_ones_own_is_no_unknown_one():
    change = FAULTS["13 joints"][2]
    mine = Layout("mine", [f"joint{number}" for number in range(13)])
    clip = broken(change)
    assert validate(clip, layout=mine).counts == {}
    assert set(validate(clip).counts) == {"layout"}


def test_a_selection_is_validated_by_itself(file):
    report = validate(load(file).select(split="train"))
    assert report.clips == 40
    assert set(report.counts) == {"split-empty", "people"}


@pytest.mark.parametrize("form", ["path", "text", "data set", "dict"])
def test_the_report_is_the_same_in_whatever_form_the_data_comes(form, file):
    forms = {
        "path": lambda: file,
        "text": lambda: str(file),
        "data set": lambda: load(file),
        "dict": lambda: dict(load(file)),
    }
    report = validate(forms[form]())
    assert report.name == ("in memory" if form == "dict" else "data.pkl")
    assert report.counts == {"people": 1}


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "unreadable", "is empty"),
        (pickle.dumps(print), "unreadable", "builtins.print"),
        (pickle.dumps(clean_flat())[:-100], "unreadable", "ends"),
        (pickle.dumps(("X", "y")), "form", "holds a tuple"),
    ],
    ids=["empty", "unsafe", "truncated", "of another form"],
)
def test_a_file_that_cannot_be_opened_is_the_one_finding(content, code, message, tmp_path):
    path = tmp_path / "data.pkl"
    path.write_bytes(content)
    (found,) = validate(path).findings
    assert found.code == code
    assert message in found.message
