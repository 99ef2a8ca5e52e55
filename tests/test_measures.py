import numpy as np
import pytest

from pysklnb import load, quality, sample
from pysklnb.measures import MOST_SLOTS, bounds, count_swaps, widened


def slots(*tracks):
    """Keypoints [M, T, V, 2] of persons whose joints are all near one x a frame; None is an absent person."""
    x = np.array([[0 if at is None else at for at in track] for track in tracks], np.float32)
    joints = np.where(x[..., None] == 0, 0, x[..., None] + [0, 1, 2])
    return np.stack([joints, joints], axis=-1).astype(np.float32)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("lowest", [-900, 0, 0.5], ids=["negative", "zero", "positive"])
def test_bounds_are_the_least_and_the_largest_of_each_coordinate(dtype, order, lowest):
    values = np.random.default_rng(0).uniform(lowest, 900, (2, 5, 17, 3)).astype(dtype, order=order)
    assert bounds([values]) == [(values.min(axis=(0, 1, 2)).tolist(), values.max(axis=(0, 1, 2)).tolist())]


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_what_is_not_finite_is_seen_in_the_bounds(dtype, value):
    values = np.ones((2, 5, 17, 2), dtype)
    values[1, 2, 3, 1] = value
    ((low, high),) = bounds([values])
    assert (low[0], high[0]) == (1, 1)
    assert not np.isfinite([low[1], high[1]]).all()


@pytest.mark.parametrize(
    ("tracks", "swaps"),
    [
        ([[100, 102, 104], [500, 502, 504]], 0),
        ([[100, 102, 504], [500, 502, 104]], 2),
        ([[100, 502, 104], [500, 102, 504]], 4),
        ([[100, 102, 300], [500, 502, 504]], 0),
        ([[100, None, 500], [500, 502, None]], 0),
        ([[100, None, None], [None, None, 100]], 0),
        ([[100, 500], [None, 102]], 1),
    ],
    ids=["stay", "swap once", "swap and back", "run off", "absent", "absent between", "one moves into an empty slot"],
)
def test_swaps_are_counted(tracks, swaps):
    assert count_swaps([slots(*tracks)]) == [swaps]


def test_swaps_are_counted_clip_by_clip():
    clips = [slots([100, 102], [500, 502]), slots([500], [100]), slots([500, 102], [100, 504]), slots([100], [500])]
    assert count_swaps(clips) == [0, 0, 2, 0]


def test_clips_of_different_forms_are_bounded_and_searched_for_swaps_together():
    two, three = slots([100, 502], [500, 102]), slots([100, 102], [500, 502], [900, 902])
    other = np.concatenate([two, two], axis=2).astype(np.float16)
    assert count_swaps([two, three, other]) == [2, 0, 2]
    assert bounds([other, two, three[..., :1]]) == [([100, 100], [504, 504])] * 2 + [([100], [904])]


def test_float16_is_widened_exactly():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    found = widened(every)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, every.astype(np.float32))
    assert np.array_equal(np.signbit(found), np.signbit(every))


def test_swaps_in_a_crowd_are_counted_piece_by_piece():
    order = np.arange(MOST_SLOTS, dtype=np.float32) * 100 + 100
    tracks = [order if frame % 2 == 0 else np.roll(order, 1) for frame in range(31)]
    assert count_swaps([slots(*np.transpose(tracks))]) == [30 * MOST_SLOTS]


# --- quality


def walkers():
    """Two people, 400 px from each other, who walk a little: [2, 10, 17, 2]."""
    spots = np.array([300, 700])[:, None, None, None] * [1, 0] + [0, 300]
    body = spots + np.random.default_rng(0).uniform(-60, 60, (2, 1, 17, 2))
    return (body + np.arange(10)[:, None, None] * [3, 1]).astype(np.float32)


def test_quality_has_a_row_a_clip():
    clip = {
        "frame_dir": "a",
        "label": 3,
        "keypoint": walkers(),
        "keypoint_score": np.full((2, 10, 17), 0.9, np.float32),
    }
    clip["keypoint"][1, :4] = clip["keypoint_score"][1, :4] = 0  # the second person comes late
    clip["keypoint"][:, 9] = clip["keypoint_score"][:, 9] = 0  # at last nobody is there
    clip["keypoint"][0, 0, :8] = clip["keypoint_score"][0, 0, :8] = 0  # and once 8 joints are missing
    table = quality([clip, None, {"frame_dir": "b", "keypoint": np.zeros((0, 5, 17, 2))}])
    assert table.columns.tolist() == [
        *("frame_dir", "label", "frames", "people", "empty_frames", "missing_joints", "mean_score", "slot_swaps"),
    ]
    first, none, nobody = table.itertuples(index=False)
    assert first[:5] == ("a", 3, 10, 2, 1)
    assert first.missing_joints == pytest.approx(8 / (14 * 17))
    assert first.mean_score == pytest.approx(0.9)
    assert first.slot_swaps == 0
    assert np.isnan(none.frames)
    assert (nobody.frames, nobody.people, nobody.empty_frames) == (5, 0, 5)
    assert np.isnan(nobody.missing_joints)


def test_quality_counts_swaps():
    swapped = walkers()
    swapped[:, 4:] = swapped[::-1, 4:]
    clips = [{"frame_dir": str(number), "keypoint": keypoint} for number, keypoint in enumerate([walkers(), swapped])]
    assert quality(clips).slot_swaps.tolist() == [0, 2]


@pytest.mark.parametrize("name", ["ntu60_3danno", "k400_hrnet", "k400_kpfiles"])
def test_quality_takes_every_kind_of_file(name):
    table = quality(sample(name))
    assert len(table) == len(load(sample(name)))
    assert table.frame_dir.notna().all()
