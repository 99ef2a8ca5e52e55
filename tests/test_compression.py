from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pysklnb
from pysklnb import FormatError
from pysklnb.compression import compress, decompress

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
any_example = settings(max_examples=300, derandomize=True, deadline=None)


def decompress_by_hand(frame_inds, keypoint, numbers=None, max_person=10):
    """The rules, one person after the other: what `decompress` has to equal to the bit. `numbers`: of all frames."""
    if numbers is None:
        numbers = sorted(set(frame_inds.tolist()))
    people = {number: [] for number in numbers}
    for number, skeleton in zip(frame_inds.tolist(), keypoint, strict=True):
        people[number].append(skeleton)
    most = max(map(len, people.values()), default=0)
    if most > max_person:
        for number in numbers:
            people[number] = sorted(people[number], key=lambda skeleton: -np.sum(skeleton[:, 2]))[:max_person]
    shape = (min(most, max_person), len(numbers), keypoint.shape[1])
    pixels, scores = np.zeros((*shape, 2), np.float16), np.zeros(shape, np.float16)
    for t, number in enumerate(numbers):
        for m, skeleton in enumerate(people[number]):
            pixels[m, t] = skeleton[:, :2]
            scores[m, t] = skeleton[:, 2]
    return pixels, scores


def assert_same_bits(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


def grids(clip):
    return clip["keypoint"], clip["keypoint_score"]


@st.composite
def compressed(draw, least=0):
    """A clip with gaps and crowds; coarse scores have many ties, fine ones only after rounding to float16."""
    people = draw(st.lists(st.integers(0, 6), min_size=1, max_size=12))
    base, V = draw(st.integers(0, 1)), draw(st.sampled_from([0, 1, 2, 7, 8, 9, 17, 133, 300]))
    while sum(people) < least:
        people.append(1)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keypoint = rng.normal(300, 200, (sum(people), V, 3))
    step = draw(st.sampled_from([0.5, 0.01, 2**-11]))
    keypoint[..., 2] = rng.integers(0, int(1.02 / step) + 1, keypoint.shape[:2]) * step
    frame_inds = np.repeat(np.arange(len(people)) + base, people).astype(np.int16)
    clip = {"frame_dir": "a", "frame_inds": frame_inds, "total_frames": len(people)}
    clip["keypoint"] = keypoint.astype(np.float16)
    if draw(st.booleans()):
        clip["box_score"] = rng.choice([0.5, 0.7, 0.8, 0.9, 1], len(frame_inds)).astype(np.float16)
    if draw(st.booleans()):
        clip["anno_inds"] = rng.random(len(frame_inds)) < 0.8
    return base, clip


def chosen_rows(clip, box_thr):
    chosen = clip.get("anno_inds", np.ones(len(clip["frame_inds"]), bool))
    if box_thr is not None:
        chosen = chosen & (clip["box_score"].astype(np.float32) >= np.float32(box_thr))
    return clip["frame_inds"][chosen], clip["keypoint"][chosen]


@any_example
@pytest.mark.filterwarnings("ignore:clip 'a'. no skeleton is left")
@given(compressed(), st.sampled_from([None, 0.5, 0.7, 0.8, 0.9, 1.1]), st.integers(1, 7))
def test_a_clip_is_the_one_made_by_hand(drawn, box_thr, max_person):
    base, clip = drawn
    box_thr = box_thr if "box_score" in clip else None
    frame_inds, keypoint = chosen_rows(clip, box_thr)
    squeezed = decompress(clip, box_thr=box_thr, max_person=max_person, base=base)
    assert_same_bits(grids(squeezed), decompress_by_hand(frame_inds, keypoint, max_person=max_person))
    assert squeezed["total_frames"] == squeezed["keypoint"].shape[1] == len(squeezed["frame_numbers"])

    whole = decompress(clip, box_thr=box_thr, max_person=max_person, base=base, squeeze=False)
    numbers = range(base, base + clip["total_frames"])
    assert_same_bits(grids(whole), decompress_by_hand(frame_inds, keypoint, numbers, max_person))
    assert whole["frame_numbers"].tolist() == list(range(whole["total_frames"]))
    # ... and squeeze is undone by the frames' numbers.
    assert_same_bits([array[:, squeezed["frame_numbers"]] for array in grids(whole)], grids(squeezed))


def clip_of(frame_inds, scores=None, **fields):
    """A clip whose skeletons, of two joints, have the number of their row as x, and the given scores."""
    keypoint = np.zeros((len(frame_inds), 2, 3), np.float16)
    keypoint[..., 0] = np.arange(len(frame_inds))[:, np.newaxis]
    keypoint[..., 2] = 0.5 if scores is None else scores
    return {
        "frame_dir": "abc",
        "total_frames": 10,
        "frame_inds": np.array(frame_inds, np.int16),
        "keypoint": keypoint,
        **fields,
    }


def rows_in(clip):
    """Which row stands in each slot of each frame; -1: none."""
    return np.where(clip["keypoint_score"].any(-1), clip["keypoint"][..., 0, 0], -1).astype(int).tolist()


# --- slots


def test_slots_are_in_file_order_while_no_frame_is_too_full():
    clip = clip_of([1, 1, 3, 3, 3], [[0.1, 0.1], [0.9, 0.9], [0.2, 0.2], [0.9, 0.9], [0.5, 0.5]])
    assert rows_in(decompress(clip, max_person=3)) == [[0, 2], [1, 3], [-1, 4]]


def test_one_frame_that_is_too_full_has_every_frame_sorted():
    clip = clip_of([1, 1, 3, 3, 3], [[0.1, 0.1], [0.9, 0.9], [0.2, 0.2], [0.9, 0.9], [0.5, 0.5]])
    assert rows_in(decompress(clip, max_person=2)) == [[1, 3], [0, 4]]


def test_scores_are_summed_in_float16_and_equal_sums_stay_in_file_order():
    scores = np.array([[1.0, 1.0], [1.0, 1.0 + 2**-10]], np.float16)
    assert scores[0].astype(float).sum() < scores[1].astype(float).sum()
    assert scores[0].sum() == scores[1].sum()
    assert rows_in(decompress(clip_of([1, 1], scores), max_person=1)) == [[0]]


def test_people_are_counted_only_if_some_were_cut():
    assert "num_person" not in decompress(clip_of([1, 1, 1]), max_person=3)
    assert decompress(clip_of([1, 1, 1]), max_person=2)["num_person"] == 2


def test_sums_beyond_float16_are_equal():
    scores = [[60000, 60000], [65000, 65000], [-65000, -65000]]
    assert rows_in(decompress(clip_of([1, 1, 1], scores), max_person=2)) == [[0], [1]]


# --- frames


@pytest.mark.parametrize(
    ("frame_inds", "fields", "numbers"),
    [
        pytest.param([0, 2, 4], {"raw_file": "a.pkl"}, [0, 2, 4], id="a-0-counts-from-0"),
        pytest.param([1, 5, 10], {}, [0, 4, 9], id="the-maximum-is-total_frames"),
        pytest.param([1, 3, 9], {}, [1, 3, 9], id="neither-in-a-clip-of-ones-own"),
        pytest.param([1, 3, 9], {"raw_file": "a.pkl"}, [0, 2, 8], id="neither-in-an-index-with-raw_file"),
        pytest.param([1, 3, 9], {"valid": {0.5: 3}}, [0, 2, 8], id="neither-in-an-index-with-valid"),
        pytest.param([1, 3, 9], {"box_score": np.ones(3)}, [0, 2, 8], id="neither-in-an-index-with-box_score"),
    ],
)
def test_the_number_of_the_first_frame_is_found_from_the_clip(frame_inds, fields, numbers):
    clip = clip_of(frame_inds, **fields)
    assert decompress(clip)["frame_numbers"].tolist() == numbers
    assert decompress(clip, squeeze=False)["keypoint_score"].any((0, 2)).nonzero()[0].tolist() == numbers


@pytest.mark.parametrize("base", [0, 1])
def test_the_number_of_the_first_frame_can_be_given(base):
    assert decompress(clip_of([1, 3, 9]), base=base)["frame_numbers"].tolist() == [1 - base, 3 - base, 9 - base]


@pytest.mark.parametrize("without", [0, 2], ids=["without-the-first", "without-the-last"])
def test_a_choice_among_the_rows_does_not_move_the_others(without):
    clip = clip_of([0, 2, 4] if without == 0 else [1, 5, 10], valid={})
    everything = decompress(clip)["frame_numbers"].tolist()
    everything.pop(without)
    chosen = np.arange(3) != without
    assert decompress(clip | {"anno_inds": chosen})["frame_numbers"].tolist() == everything
    assert decompress(clip | {"box_score": chosen.astype(float)}, box_thr=0.5)["frame_numbers"].tolist() == everything


def test_frame_numbers_can_be_computed_with():
    clip = clip_of([1, 32767], total_frames=32767)
    assert (decompress(clip)["frame_numbers"] * 2).tolist() == [0, 65532]


# --- the choice among rows


@pytest.mark.parametrize(
    ("box_thr", "dtype", "rows"),
    [
        pytest.param(0.7, "f2", [0, 1, 2], id="0.7-is-more-in-float16"),
        pytest.param(0.9, "f2", [2], id="0.9-is-less-in-float16"),
        pytest.param(0.9, "f4", [1, 2], id="0.9-is-0.9-in-float32"),
        pytest.param(np.float16(0.9), "f2", [1, 2], id="a-threshold-in-float16"),
    ],
)
def test_box_scores_are_compared_in_float32(box_thr, dtype, rows):
    clip = clip_of([1, 3, 5], box_score=np.array([0.7, 0.9, 0.95], dtype))
    assert rows_in(decompress(clip, box_thr=box_thr)) == [rows]


def test_a_row_has_to_pass_both_the_mask_and_the_threshold():
    clip = clip_of([1, 3, 5], box_score=np.array([0.6, 0.9, 0.9]), anno_inds=np.array([True, True, False]))
    assert rows_in(decompress(clip)) == [[0, 1]]
    assert rows_in(decompress(clip, box_thr=0.8)) == [[1]]


# --- fields


def test_fields_about_rows_are_left_out_and_the_others_kept():
    mask = {"anno_inds": np.ones(3, bool)}
    flat = {f"valid@{score}": 2 for score in THRESHOLDS}
    clip = clip_of([1, 1, 3], label=7, raw_file="a.pkl", note="mine", valid={0.5: 2}, **mask, **flat)
    found = decompress(clip)
    kept = {"frame_dir", "label", "raw_file", "note"}
    assert set(found) == {*kept, "keypoint", "keypoint_score", "total_frames", "frame_numbers"}
    assert {key: found[key] for key in kept} == {key: clip[key] for key in kept}
    assert type(found) is dict


def test_box_scores_stand_beside_their_skeletons():
    boxes = np.array([0.5, 0.9, 0.7, 0.6], np.float16)
    clip = decompress(clip_of([1, 1, 1, 3], [[1, 1], [2, 2], [3, 3], [4, 4]], box_score=boxes), max_person=2)
    assert rows_in(clip) == [[2, 3], [1, -1]]
    expected = np.array([[0.7, 0.6], [0.9, 0]], np.float16)
    np.testing.assert_array_equal(clip["box_score"], expected, strict=True)


class Fresh(Mapping):
    """As an annotation of a file: each access gives a fresh array. Counts them."""

    def __init__(self, fields):
        self.fields, self.asked = fields, []

    def __getitem__(self, key):
        self.asked.append(key)
        value = self.fields[key]
        return value.copy() if isinstance(value, np.ndarray) else value

    def __iter__(self):
        return iter(self.fields)

    def __len__(self):
        return len(self.fields)


def normal_clip(M=3, T=8, V=5, seed=0, **fields):
    """A clip in the normal form, in which every other skeleton is missing."""
    rng = np.random.default_rng(seed)
    keypoint, score = rng.normal(300, 200, (M, T, V, 2)), rng.uniform(0.1, 1, (M, T, V))
    missing = rng.random((M, T)) < 0.5
    keypoint[missing] = score[missing] = 0
    grids = {"keypoint": keypoint.astype(np.float16), "keypoint_score": score.astype(np.float16)}
    return {"frame_dir": "abc", "label": 3, "total_frames": T, **grids, **fields}


@pytest.mark.parametrize(
    ("convert", "clip"),
    [
        pytest.param(decompress, clip_of([1, 1, 3], box_score=np.ones(3), anno_inds=np.ones(3, bool)), id="decompress"),
        pytest.param(compress, normal_clip(box_score=np.ones((3, 8)), frame_numbers=np.arange(8)), id="compress"),
    ],
)
def test_the_input_is_read_once_and_never_changed(convert, clip):
    before = {key: np.copy(value) for key, value in clip.items()}
    lazy = Fresh(clip)
    found = convert(lazy)
    assert sorted(lazy.asked) == sorted(clip)
    again = convert(clip)
    for key, value in found.items():
        np.testing.assert_array_equal(again[key], value)
        if isinstance(value, np.ndarray):
            again[key][...] = 1
    assert clip.keys() == before.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(clip[key], value)


def test_skeletons_that_are_given_are_not_changed_and_go_before_the_clips_own():
    clip = clip_of([1, 1, 3])
    given_keypoint = clip["keypoint"] + np.float16(1)
    given_keypoint.flags.writeable = False
    found = decompress(clip, given_keypoint)
    assert found["keypoint"][:, :, 0, 0].tolist() == [[1, 3], [2, 0]]
    assert found["keypoint"].flags.writeable


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(lambda array: array.astype(np.float32) if array.dtype.kind == "f" else array, id="float32"),
        pytest.param(lambda array: array.astype(array.dtype.newbyteorder(">")), id="big-endian"),
        pytest.param(np.asfortranarray, id="fortran-order"),
        pytest.param(lambda array: np.repeat(array, 2, axis=0)[::2], id="not-contiguous"),
        pytest.param(lambda array: array.astype(int) if array.dtype.kind == "i" else array, id="int64"),
        pytest.param(lambda array: array.astype(np.uint64) if array.dtype.kind == "i" else array, id="uint64"),
        pytest.param(lambda array: array.tolist(), id="lists"),
    ],
)
def test_arrays_of_any_kind_give_the_same_clip(convert):
    # Many people whose float16 sums are close: the order of memory must not change how they are summed.
    frame_inds = np.repeat([1, 3, 9], 40).astype(np.int16)
    keypoint = np.random.default_rng(0).uniform(0.8, 1, (120, 17, 3)).astype(np.float16)
    found = decompress({"frame_inds": convert(frame_inds), "total_frames": 9}, convert(keypoint), max_person=30)
    assert_same_bits(grids(found), decompress_by_hand(frame_inds, keypoint, max_person=30))
    np.testing.assert_array_equal(found["frame_numbers"], np.array([0, 2, 8], np.int64), strict=True)


# --- nobody, and NaN


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"frame_inds": np.zeros(0, np.int16), "keypoint": np.zeros((0, 17, 3), np.float16)}, id="no-row"),
        pytest.param({"frame_inds": [], "keypoint": np.zeros((0, 17, 3), np.float32)}, id="no-row-as-a-list"),
        pytest.param({"frame_inds": [1, 3], "keypoint": np.ones((2, 17, 3)), "anno_inds": [False] * 2}, id="none-left"),
    ],
)
@pytest.mark.parametrize(("squeeze", "T"), [(True, 0), (False, 10)], ids=["squeezed", "whole"])
def test_without_a_skeleton_a_clip_is_empty_with_a_warning(fields, squeeze, T):
    with pytest.warns(UserWarning, match=r"^clip 'abc': no skeleton is left.*M = 0") as caught:
        clip = decompress({"frame_dir": "abc", "total_frames": 10, **fields}, squeeze=squeeze)
    assert caught[0].filename == __file__
    assert clip["keypoint"].shape == (0, T, 17, 2)
    assert clip["keypoint_score"].shape == (0, T, 17)
    assert clip["total_frames"] == T
    assert clip["frame_numbers"].tolist() == list(range(T))


@pytest.mark.parametrize("bits", [0x7E00, 0xFE00, 0x7C01, 0xFFFF], ids=hex)
@pytest.mark.parametrize("place", [(0, 0, 0), (2, 1, 2)], ids=["x", "score"])
def test_nan_passes_through_with_a_warning(bits, place):
    clip = clip_of([1, 1, 3])
    clip["keypoint"].view(np.uint16)[place] = bits
    with pytest.warns(UserWarning, match=r"^clip 'abc': NaN in 1 of 3 skeletons\.$") as caught:
        found = grids(decompress(clip))
    assert caught[0].filename == __file__
    assert_same_bits(found, decompress_by_hand(clip["frame_inds"], clip["keypoint"]))


def test_infinity_is_no_nan():
    clip = clip_of([1, 1])
    clip["keypoint"][0, 0, :2] = np.inf, -np.inf
    assert decompress(clip)["keypoint"][0, 0, 0].tolist() == [np.inf, -np.inf]


def test_nan_that_is_not_chosen_is_not_warned_of():
    clip = clip_of([1, 1], [[np.nan, 1], [1, 1]], anno_inds=np.array([False, True]))
    assert rows_in(decompress(clip)) == [[1]]


def test_a_sum_that_is_nan_goes_last():
    clip = clip_of([1, 1, 1], [[np.nan, 1], [-1, -1], [1, 1]])
    with pytest.warns(UserWarning, match="NaN in 1 of 3"):
        assert rows_in(decompress(clip, max_person=2)) == [[2], [1]]


# --- what is refused


CONTRADICTIONS = {
    "both bases": ({"frame_inds": [0, 5, 10]}, r"frame_inds: found 0 to 10, expected 0 to 9 or 1 to 10, for"),
    "too large": ({"frame_inds": [1, 5, 11]}, r"frame_inds: found 1 to 11, expected 0 to 9 or 1 to 10, for"),
    "negative": ({"frame_inds": [-1, 5, 9]}, r"frame_inds: found -1 to 9, .*, for total_frames is 10\.$"),
    "unsorted": ({"frame_inds": [1, 5, 3]}, r"frame_inds: found 3 after 5, in row 2, .*Sort the rows"),
    "too few frames": ({"frame_inds": [1, 5]}, r"found int64 of shape \(2,\), expected ints of shape \(3,\)"),
    "frames in float": ({"frame_inds": [1.0, 5, 7]}, r"found float64 of shape \(3,\), expected ints"),
    "no frame_inds": ({"frame_inds": None}, r"frame_inds: found none, expected ints of shape \(3,\)"),
    "too many boxes": ({"box_score": np.ones(4)}, r"box_score: found float64 of shape \(4,\), expected floats"),
    "mask of ints": ({"anno_inds": np.array([0, 2])}, r"anno_inds: .*expected bools of shape \(3,\)"),
    "in a kpfile": ({"keypoint": None}, r"keypoint: found none, .*kpfiles: decompress\(annotation, keypoint\)"),
    "normal form": ({"keypoint": np.ones((1, 3, 2, 2))}, r"found float64 of shape \(1, 3, 2, 2\).*normal form already"),
    "no scores": ({"keypoint": np.ones((3, 2, 2))}, r"expected numbers \[N, V, 3\]: x, y, score\.$"),
    "value of a kpfile": ({"keypoint": {"keypoint": 1}}, r"keypoint: found object of shape \(\)"),
    "no total": ({"total_frames": None}, r"total_frames: found None, expected the number of frames"),
    "negative total": ({"total_frames": -1}, r"total_frames: found -1"),
}


@pytest.mark.parametrize(("fields", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
@pytest.mark.parametrize("squeeze", [True, False], ids=["squeezed", "whole"])
def test_a_contradiction_is_told_with_clip_field_found_and_expected(fields, message, squeeze):
    with pytest.raises(FormatError, match=f"^clip 'abc': .*{message}"):
        decompress(clip_of([1, 3, 5]) | fields, squeeze=squeeze)


@pytest.mark.parametrize(
    ("frame_inds", "base", "message"),
    [([1, 10], 0, "found 1 to 10, expected 0 to 9, for"), ([0, 9], 1, "found 0 to 9, expected 1 to 10, for")],
    ids=["from-0", "from-1"],
)
def test_a_base_that_is_given_has_to_fit(frame_inds, base, message):
    with pytest.raises(FormatError, match=message):
        decompress(clip_of(frame_inds), base=base)


def test_a_late_frame_costs_no_memory():
    late = 2**31 - 2
    clip = {
        "frame_inds": np.array([0, late], np.int32),
        "total_frames": late + 1,
        "keypoint": np.ones((2, 17, 3), "f2"),
    }
    found = decompress(clip)
    assert found["keypoint"].shape == (1, 2, 17, 2)
    assert found["frame_numbers"].tolist() == [0, late]


@pytest.mark.parametrize("key", ["keypoint", "frame_inds"])
def test_ragged_lists_are_told_with_clip_and_field(key):
    clip = {
        "frame_dir": "a",
        "frame_inds": [0, 1],
        "total_frames": 2,
        "keypoint": np.ones((2, 17, 3)),
        key: [[1], [1, 2]],
    }
    with pytest.raises(FormatError, match=f"clip 'a': {key}: found lists that are no array"):
        decompress(clip)


def test_exchanged_arguments_are_told():
    with pytest.raises(TypeError, match="found ndarray as the annotation, expected a dict"):
        decompress(np.ones((2, 17, 3)), {"frame_inds": [0, 1]})


def test_a_threshold_needs_box_scores():
    with pytest.raises(FormatError, match=r"^clip 'abc': box_score: found none"):
        decompress(clip_of([1, 3]), box_thr=0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"base": 2}, "base: found 2, expected 0, 1, or None"), ({"max_person": 0}, "max_person: found 0, expected 1")],
    ids=["base", "max_person"],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        decompress(clip_of([1, 3]), **arguments)


def test_a_clip_of_the_older_form_is_named_by_its_filename():
    clip = clip_of([5, 1])
    clip["filename"] = clip.pop("frame_dir")
    with pytest.raises(FormatError, match=r"^clip 'abc': frame_inds"):
        decompress(clip)


# --- compress


@any_example
@given(st.integers(0, 4), st.integers(0, 6), st.integers(0, 5), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
@pytest.mark.filterwarnings("ignore:clip 'abc'. no skeleton is left")
def test_decompress_gives_back_what_was_compressed(M, T, V, seed, with_boxes, from_an_index):
    clip = normal_clip(M, T, V, seed)
    clip["keypoint"] += np.float16(0)  # no -0, which is a coordinate of nobody too
    present = (clip["keypoint"] != 0).any((2, 3)) | (clip["keypoint_score"] != 0).any(2)
    if with_boxes:
        rng = np.random.default_rng(seed)
        clip["box_score"] = np.where(present, rng.choice([0.5, 0.7, 0.9], (M, T)), 0).astype(np.float16)
    if from_an_index:
        clip["raw_file"] = "a.pkl"
    expected = {key: np.zeros_like(clip[key]) for key in ("keypoint", "keypoint_score", "box_score") if key in clip}
    for t in range(T):
        slots = [m for m in range(M) if present[m, t]]
        if with_boxes:
            slots.sort(key=lambda m: -clip["box_score"][m, t])
        for new, old in enumerate(slots):
            for key, grid in expected.items():
                grid[new, t] = clip[key][old, t]

    found = decompress(compress(clip), squeeze=False)
    people = len(found["keypoint"])
    assert people == present.sum(axis=0).max(initial=0)
    for key, grid in expected.items():
        assert not grid[people:].any()
        np.testing.assert_array_equal(found[key], grid[:people], strict=True)
    assert found.keys() == clip.keys() | {"frame_numbers"}
    assert (found["total_frames"], found["label"]) == (T, 3)


def test_rows_come_by_frame_and_by_slot_so_that_people_stay_apart():
    clip = normal_clip(M=2, T=2, V=1)
    clip["keypoint"][:, :, 0] = [[[1, 1], [2, 2]], [[3, 3], [4, 4]]]
    clip["keypoint_score"][:, :, 0] = [[0.1, 0.9], [0.9, 0.1]]
    small = compress(clip)
    assert small["keypoint"][:, 0, 0].tolist() == [1, 3, 2, 4]
    assert small["frame_inds"].tolist() == [0, 0, 1, 1]


def test_rows_come_by_falling_box_scores_where_there_are_any():
    clip = normal_clip(M=3, T=2, V=1, box_score=np.array([[0.5, 0.9], [0.95, 0.9], [0, 0.6]]))
    clip["keypoint"][:, :, 0, 0] = [[1, 2], [3, 4], [0, 6]]
    clip["keypoint"][2, 0] = clip["keypoint_score"][2, 0] = 0
    small = compress(clip)
    assert small["keypoint"][:, 0, 0].tolist() == [3, 1, 2, 4, 6]
    assert small["frame_inds"].tolist() == [1, 1, 2, 2, 2]
    expected = np.array([0.95, 0.5, 0.9, 0.9, 0.6], np.float16)
    np.testing.assert_array_equal(small["box_score"], expected, strict=True)
    # 0.9 in float16 is below 0.9.
    assert small["valid"] == {0.5: 2, 0.6: 2, 0.7: 2, 0.8: 2, 0.9: 1}


def test_the_compressed_form_has_the_dtypes_and_fields_of_the_format():
    clip = {key: np.float64(value) if key.startswith("keypoint") else value for key, value in normal_clip().items()}
    small = compress(clip)
    assert small.keys() == {"frame_dir", "label", "total_frames", "keypoint", "frame_inds"}
    assert (small["keypoint"].dtype, small["frame_inds"].dtype) == (np.float16, np.int16)
    assert small["keypoint"].shape[1:] == (5, 3)


def test_a_skeleton_of_zeros_that_has_a_box_is_there():
    clip = normal_clip(M=1, T=2, V=1, box_score=np.array([[0.8, 0]]))
    clip["keypoint"][:] = clip["keypoint_score"][:] = 0
    small = compress(clip)
    assert (small["frame_inds"].tolist(), small["box_score"].round(1).tolist()) == ([1], [pytest.approx(0.8, abs=1e-3)])


def test_frames_of_a_squeezed_clip_go_back_where_the_video_has_them():
    record = clip_of([1, 1, 5, 9], raw_file="a.pkl")
    squeezed = decompress(record)
    small = compress(squeezed)
    assert small["frame_inds"].tolist() == [1, 1, 5, 9]
    assert small["total_frames"] == 9
    again = decompress(small)
    assert again.keys() == squeezed.keys()
    assert_same_bits(grids(again), grids(squeezed))
    assert again["frame_numbers"].tolist() == squeezed["frame_numbers"].tolist() == [0, 4, 8]


def test_frames_of_a_long_video_do_not_overflow():
    grids = {"keypoint": np.ones((1, 2, 1, 2)), "keypoint_score": np.ones((1, 2, 1))}
    small = compress({"frame_numbers": np.array([0, 40_000]), **grids})
    np.testing.assert_array_equal(small["frame_inds"], np.array([0, 40_000], np.int32), strict=True)
    at_the_edge = compress({"frame_numbers": np.array([0, 32_766]), "raw_file": "a.pkl", **grids})
    np.testing.assert_array_equal(at_the_edge["frame_inds"], np.array([1, 32_767], np.int16), strict=True)


NOT_COMPRESSIBLE = {
    "no keypoint": ({"keypoint": None}, r"keypoint: found none, expected numbers \[M, T, V, 2\]"),
    "compressed already": ({"keypoint": np.ones((5, 17, 3))}, r"keypoint: found float64 of shape \(5, 17, 3\)"),
    "3D": ({"keypoint": np.ones((1, 8, 25, 3))}, r"expected numbers \[M, T, V, 2\]: x, y"),
    "no scores": ({"keypoint_score": None}, r"keypoint_score: found none, .*\(3, 8, 5\)"),
    "scores of people": ({"keypoint_score": np.ones((3, 8))}, r"keypoint_score: found float64 of shape \(3, 8\)"),
    "another total": ({"total_frames": 9}, r"total_frames: found 9, expected 8, the frames of keypoint"),
    "boxes of frames": ({"box_score": np.ones(8)}, r"box_score: .*expected floats of shape \(3, 8\)"),
    "too many numbers": ({"frame_numbers": np.arange(9)}, r"frame_numbers: .*expected ints of shape \(8,\)"),
    "falling numbers": ({"frame_numbers": np.arange(8)[::-1]}, r"frame_numbers: .*rising"),
    "negative numbers": ({"frame_numbers": np.arange(8) - 1}, r"frame_numbers: .*from 0"),
}


@pytest.mark.parametrize(("fields", "message"), NOT_COMPRESSIBLE.values(), ids=NOT_COMPRESSIBLE)
def test_what_cannot_be_compressed_is_told_with_clip_field_found_and_expected(fields, message):
    with pytest.raises(FormatError, match=f"^clip 'abc': .*{message}"):
        compress(normal_clip() | fields)


# --- the bundled Kinetics clips


@pytest.fixture(scope="module")
def kinetics():
    kpfiles = pysklnb.load(pysklnb.sample("k400_kpfiles"))
    index = pysklnb.load(pysklnb.sample("k400_hrnet"))
    return [(record, kpfiles.clip(record["frame_dir"])["keypoint"]) for record in index]


def test_each_bundled_clip_is_the_one_made_by_hand(kinetics):
    assert len(kinetics) == 12
    for record, keypoint in kinetics:
        clip = decompress(record, keypoint)
        assert_same_bits(grids(clip), decompress_by_hand(record["frame_inds"], keypoint))
        assert set(clip["frame_numbers"] % 2) == {0}
        whole = decompress(record, keypoint, squeeze=False)
        numbers = range(1, record["total_frames"] + 1)
        assert_same_bits(grids(whole), decompress_by_hand(record["frame_inds"], keypoint, numbers))


def test_one_bundled_clip_has_more_than_ten_people_in_a_frame(kinetics):
    cut = [clip for clip in (decompress(*pair) for pair in kinetics) if "num_person" in clip]
    assert [(clip["num_person"], len(clip["keypoint"])) for clip in cut] == [(10, 10)]


@pytest.mark.parametrize("box_thr", THRESHOLDS)
def test_a_threshold_leaves_as_many_frames_as_valid_says(kinetics, box_thr):
    frames = [decompress(*pair, box_thr=box_thr)["total_frames"] for pair in kinetics]
    assert frames == [record["valid"][box_thr] for record, _ in kinetics]


def test_a_bundled_clip_that_is_compressed_again_has_the_rows_of_the_kpfile(kinetics):
    for record, keypoint in kinetics:
        small = compress(decompress(record, keypoint, squeeze=False, max_person=99))
        assert small.keys() == {*record, "keypoint"}
        for key, value in [*record.items(), ("keypoint", keypoint)]:
            np.testing.assert_array_equal(small[key], value)
