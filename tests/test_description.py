import numpy as np
import pytest

import pysklnb
from pysklnb import load
from pysklnb.description import Description
from pysklnb.sources import ArrayHandle


def clip(name, shape=(1, 4, 17, 2), **others):
    return {
        "frame_dir": name,
        "label": 0,
        "img_shape": (240, 320),
        "total_frames": shape[1],
        "keypoint": np.zeros(shape, np.float16),
        "keypoint_score": np.zeros(shape[:3], np.float16),
        **others,
    }


def described(value, dataset=None):
    """The rows of a description as a dict."""
    return dict(load(value, dataset).describe().rows)


def test_a_description_says_what_the_axes_are():
    rows = described([clip("a"), clip("b", (3, 120, 17, 2))])
    assert rows["[M, T, V, C]"] == "M 1 to 3 person slots, T 4 to 120 frames, V 17 joints, C 2: x, y in pixels"


def test_three_dimensions_are_documented_as_metres():
    rows = described([{"frame_dir": "a", "label": 1, "total_frames": 4, "keypoint": np.zeros((1, 4, 25, 3))}])
    assert rows["[M, T, V, C]"].endswith("V 25 joints, C 3: x, y, z, documented in metres")
    assert rows["layout"].startswith("nturgb+d: ")
    assert "missing" not in rows


def test_compressed_keypoints_have_skeletons_instead_of_people_and_frames():
    rows = described({"a": {"keypoint": np.zeros((9, 17, 3), np.float16)}, "b": {"keypoint": np.zeros((1, 17, 3))}})
    assert rows["[N, V, C]"] == "N 1 to 9 skeletons, V 17 joints, C 3 (x, y, score); compressed"
    assert rows["form"].startswith("a kpfile")


def test_the_layout_comes_with_its_reason():
    assert described([clip("a")])["layout"] == f"coco: {pysklnb.layouts.guess_reason(17, 2)}"
    assert described([clip("a", (1, 2, 19, 2))])["layout"].startswith("unknown: ")
    assert described([clip("a"), clip("b", (1, 2, 18, 2))])["layout"] == "several: V 17, C 2, V 18, C 2"
    assert described([clip("a")], "ucf101_hrnet")["layout"] == "coco, as ucf101_hrnet has it"


def test_keys_that_some_clips_lack_are_counted():
    lacking = clip("b")
    del lacking["keypoint_score"]
    rows = described([clip("a"), lacking])
    assert rows["keys"] == ("frame_dir, label, img_shape, total_frames, keypoint; keypoint_score in 1 of 2")
    assert "missing" not in rows


def test_documented_keys_that_no_clip_has_are_missing():
    lacking = clip("a")
    del lacking["keypoint_score"], lacking["label"]
    assert described([lacking])["missing"] == "label, keypoint_score (documented for such clips)"


def test_an_index_says_that_its_keypoints_are_elsewhere():
    record = {"frame_dir": "a", "label": 0, "total_frames": 9, "frame_inds": np.array([1], np.int16)}
    ds = load([record])
    assert "1 clip without keypoints (an index: they are in kpfiles)" in str(ds.describe())
    assert described([record])["missing"].startswith("box_score, valid, raw_file")


def test_splits_are_counted_with_what_does_not_fit():
    rows = described({"split": {"train": ["a", "b", "gone"], "val": []}, "annotations": [clip(i) for i in "abc"]})
    assert rows["splits"] == "train 3, val 0; 1 id without a clip; 1 clip in no split"


def test_ids_that_occur_twice_are_counted():
    assert described([clip("a"), clip("a"), clip("b")])["clips"] == "3; 1 without an id, or with that of another clip"


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([3, 3, 7], "2 different, int, from 3 to 7"),
        ([np.int64(0), 1, 2], "3 different, int/int64, from 0 to 2"),
        (["walk", "run", "walk"], "2 different, str"),
    ],
    ids=["ints", "numpy ints", "texts"],
)
def test_labels_are_counted(labels, words):
    assert described([clip(str(n), label=label) for n, label in enumerate(labels)])["label"] == words


def test_labels_are_compared_with_the_catalogue():
    assert described([clip("a")], "ucf101_hrnet")["label"].endswith("; ucf101_hrnet has 101 classes")


def test_people_are_counted():
    few = [clip(str(m), (m, 2, 17, 2)) for m in (0, 1, 1, 2)]
    assert described(few)["person slots"] == "0 in 1 clip, 1 in 2 clips, 2 in 1 clip"
    many = [clip(str(m), (m, 2, 17, 2)) for m in range(9)]
    assert described(many)["person slots"] == "0 to 8 a clip, median 4; none in 1 clip"


def test_bytes_are_counted_without_reading():
    assert described([clip("a")])["size"] == "408 bytes if all arrays were read"


def test_a_selection_says_what_it_is_a_selection_of():
    ds = load([clip("a"), clip("b", label=1)]).select(label=1)
    assert dict(ds.describe().rows)["form"] == "a list of annotations; this is a selection of 1 of 2 clips"
    assert dict(ds.describe().rows)["clips"] == "1"


@pytest.mark.parametrize("value", [[], [None], [{"frame_dir": "a"}], [{"keypoint": 3}]], ids=repr)
def test_what_is_hardly_a_data_set_is_described_too(value):
    assert "clip" in str(load(value).describe())


def test_keypoints_as_lists_are_told():
    assert described([clip("a", keypoint=[[1, 2]])])["keypoint"] == "in 1 clip no array: a list, perhaps"


def test_nothing_is_read(tmp_path, monkeypatch):
    pysklnb.save([clip("a"), clip("b")], tmp_path / "data.pkl")
    ds = load(tmp_path / "data.pkl")
    monkeypatch.setattr(ArrayHandle, "read", lambda handle: pytest.fail("an array was read"))
    assert "2 clips of 2D skeletons with 17 joints (coco)" in str(ds.describe())
    assert "on disk" in dict(ds.describe().rows)["size"]


def test_a_miniature_says_that_its_motion_is_synthetic():
    assert "synthetic" in described(pysklnb.sample("ntu60_hrnet"))["note"]


def test_the_terminal_gets_aligned_text_and_the_notebook_a_table():
    description = Description("headline", (("a", "1"), ("long", "<2>")))
    assert str(description) == "headline\n  a     1\n  long  <2>"
    assert repr(description) == str(description)
    assert '<td style="text-align:left">&lt;2&gt;</td>' in description._repr_html_()


def test_a_data_set_shows_its_description():
    ds = load([clip("a")])
    assert repr(ds) == str(ds.describe())
    assert ds._repr_html_() == ds.describe()._repr_html_()
