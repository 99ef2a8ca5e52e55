import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from pysklnb import drawing as plot
from pysklnb import layouts
from pysklnb.drawing import SIDE_COLORS

T = 10
COLORS = {side: color.lower() for side, color in SIDE_COLORS.items()}


def person_in_pixels(x=300.0, y=100.0):
    """One COCO person [T, 17, 2], 200 px high, who faces the camera and walks 10 px a frame to the right."""
    height = {
        "nose": 0,
        "eye": -10,
        "ear": -5,
        "shoulder": 40,
        "elbow": 80,
        "wrist": 110,
        "hip": 110,
        "knee": 150,
        "ankle": 190,
    }
    out = {"left": 25, "right": -25, "center": 0}  # the left hand of somebody who faces us is on our right
    joints = [
        (x + out[layouts.coco.side(j)], y + height[name.split("_")[-1]]) for j, name in enumerate(layouts.coco.joints)
    ]
    steps = 10 * np.arange(T)[:, np.newaxis] * [1, 0]
    return np.array(joints)[np.newaxis] + steps[:, np.newaxis]


def person_in_metres(x=0.0):
    """One NTU person [T, 25, 3], 1.6 m high, who faces the camera 3 m away; the head is highest."""
    out = {"left": 0.25, "right": -0.25, "center": 0}
    height = {"head": 0.8, "neck": 0.6, "foot": -0.8, "ankle": -0.7, "knee": -0.3, "base": 0.0}
    joints = [
        (x + out[layouts.nturgbd.side(j)], height.get(name.split("_")[-1], 0.3), 3 + 0.01 * j)
        for j, name in enumerate(layouts.nturgbd.joints)
    ]
    return np.repeat(np.array(joints)[np.newaxis], T, axis=0)


@pytest.fixture
def clip():
    keypoint = person_in_pixels()[np.newaxis].astype(np.float16)
    return {"keypoint": keypoint, "keypoint_score": np.ones((1, T, 17), np.float16), "img_shape": (480, 640)}


@pytest.fixture
def clip_3d():
    """As NTU has them: float16, nothing but keypoint, and a second body that is zero throughout."""
    return {"keypoint": np.stack([person_in_metres(), np.zeros((T, 25, 3))]).astype(np.float16)}


def points(ax, side):
    """The joints of one side, as drawn on plain axes."""
    drawn = [c for c in ax.collections if isinstance(c, PathCollection) and c.get_label() == side]
    return np.concatenate([np.asarray(c.get_offsets()) for c in drawn]) if drawn else np.empty((0, 2))


def bones(ax, side):
    """The bones of one side, as drawn on plain axes."""
    drawn = [c for c in ax.collections if isinstance(c, LineCollection) and c.get_label() == side]
    return [segment for c in drawn for segment in c.get_segments()]


def points_3d(ax, side):
    """The joints of one side, as drawn in 3D axes."""
    (drawn,) = [c for c in ax.collections if isinstance(c, PathCollection) and c.get_label() == side]
    return np.column_stack([np.ma.getdata(values) for values in drawn._offsets3d])


def texts(ax):
    return [text.get_text() for text in ax.texts]


# --- frame, in the picture


def test_a_frame_draws_every_joint_where_it_is(clip):
    ax = plot.frame(clip, 4)
    drawn = np.concatenate([points(ax, side) for side in SIDE_COLORS])
    expected = clip["keypoint"][0, 4].astype(float)
    assert sorted(map(tuple, drawn.tolist())) == sorted(map(tuple, expected.tolist()))


@pytest.mark.parametrize(("side", "first"), [("left", 1), ("right", 2)])
def test_left_and_right_joints_and_bones_have_their_colour(clip, side, first):
    ax = plot.frame(clip, 0)
    np.testing.assert_allclose(points(ax, side), clip["keypoint"][0, 0, first::2].astype(float))
    assert {
        to_hex(c.get_facecolor()[0]) for c in ax.collections if c.get_label() == side and isinstance(c, PathCollection)
    } == {COLORS[side]}
    assert {
        to_hex(c.get_color()[0]) for c in ax.collections if c.get_label() == side and isinstance(c, LineCollection)
    } == {COLORS[side]}
    assert len(bones(ax, side)) == layouts.coco.edge_sides.count(side)


def test_every_bone_is_drawn_once(clip):
    ax = plot.frame(clip, 0)
    drawn = [bone for side in SIDE_COLORS for bone in bones(ax, side)]
    joints = clip["keypoint"][0, 0].astype(float)
    expected = [joints[list(edge)] for edge in layouts.coco.edges]
    assert sorted(np.ravel(bone).tolist() for bone in drawn) == sorted(np.ravel(bone).tolist() for bone in expected)


def test_the_three_colours_are_told_apart_and_the_legend_names_the_sides(clip):
    assert len(set(COLORS.values())) == 3
    assert (COLORS["left"], COLORS["right"]) == ("#0072b2", "#d55e00")  # blue and vermilion, as the docs say
    legend = plot.frame(clip, 0).get_legend()
    named = dict(zip([t.get_text() for t in legend.get_texts()], legend.legend_handles, strict=True))
    assert {side: to_hex(np.atleast_2d(h.get_color())[0]) for side, h in named.items()} == {
        s: COLORS[s] for s in ("left", "right")
    }


@pytest.mark.parametrize("img_shape", [(480, 640), (1280, 400)], ids=["wide", "narrow"])
def test_the_legend_does_not_cover_the_title_or_the_picture(clip, img_shape):
    ax = plot.frame(clip | {"img_shape": img_shape}, 0)
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    (title,) = [text for text in ax.get_children() if getattr(text, "get_text", str)() == "frame 0 of 10"]
    assert not legend.overlaps(title.get_window_extent())
    assert not legend.shrunk(0.9, 0.9).overlaps(ax.get_window_extent())


def test_pixels_go_down_at_equal_scale_within_the_picture(clip):
    ax = plot.frame(clip, 0)
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 640), (480, 0))
    assert ax.get_aspect() == 1
    (border,) = ax.patches
    assert border.get_bbox().bounds == (0, 0, 640, 480)


def test_people_outside_the_picture_are_not_cut_off(clip):
    clip["keypoint"] = clip["keypoint"] - np.float16(400)
    ax = plot.frame(clip, 0)
    assert ax.get_xlim()[0] <= clip["keypoint"][..., 0].min() < 0
    assert ax.get_ylim()[1] <= clip["keypoint"][..., 1].min() < 0


def test_without_img_shape_the_limits_are_those_of_the_whole_clip(clip):
    del clip["img_shape"]
    first, last = plot.frame(clip, 0), plot.frame(clip, -1)
    x, y = clip["keypoint"][0].astype(float).reshape(-1, 2).T
    assert first.get_xlim() == last.get_xlim()
    assert first.get_xlim()[0] < x.min() < x.max() < first.get_xlim()[1]
    assert first.get_ylim()[1] < y.min() < y.max() < first.get_ylim()[0]
    assert not first.patches


def test_coordinates_beyond_the_reach_of_float16_sums_are_drawn(clip):
    clip["keypoint"] = (person_in_pixels(x=1500)[np.newaxis]).astype(np.float16)
    clip["img_shape"] = (1080, 1920)
    np.testing.assert_allclose(points(plot.frame(clip, 0), "left")[:, 0], 1525, atol=1)


@pytest.mark.parametrize("gone", ["zero", "nan", "inf"])
def test_a_missing_joint_and_its_bones_are_not_drawn(clip, gone):
    wrist = layouts.coco.index("left_wrist")
    value = {"zero": 0, "nan": np.nan, "inf": np.inf}[gone]
    clip["keypoint"][0, 3, wrist] = value
    clip["keypoint_score"][0, 3, wrist] = 0
    before, after = plot.frame(clip, 2), plot.frame(clip, 3)
    assert len(points(after, "left")) == len(points(before, "left")) - 1
    assert len(bones(after, "left")) == len(bones(before, "left")) - 1
    assert all(np.isfinite(bone).all() and bone.all(axis=1).all() for bone in bones(after, "left"))


def test_a_joint_at_the_corner_counts_when_it_has_a_score(clip):
    clip["keypoint"][0, 0, 0] = 0
    assert [0, 0] in points(plot.frame(clip, 0), "center").tolist()
    clip["keypoint_score"][0, 0, 0] = 0
    assert [0, 0] not in points(plot.frame(clip, 0), "center").tolist()
    del clip["keypoint_score"]
    assert [0, 0] not in points(plot.frame(clip, 0), "center").tolist()


def test_people_get_the_number_of_their_slot(clip):
    keypoint = np.stack([np.zeros((T, 17, 2)), person_in_pixels(200), person_in_pixels(400)])
    ax = plot.frame({"keypoint": keypoint}, 0)
    assert texts(ax) == ["1", "2"]
    for text, x in zip(ax.texts, (200, 400), strict=True):
        assert text.get_position()[0] == pytest.approx(x, abs=5)
        assert text.get_position()[1] < 100  # above the head
    assert texts(plot.frame(clip, 0)) == []


@pytest.mark.parametrize(
    "keypoint",
    [
        np.zeros((0, T, 17, 2)),
        np.zeros((2, T, 17, 2)),
        np.full((1, T, 25, 3), np.nan),
        np.zeros((0, T, 25, 3)),
    ],
    ids=["M-is-0", "all-missing", "3D-all-missing", "3D-M-is-0"],
)
def test_a_frame_with_nobody_says_so(keypoint):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = plot.frame({"keypoint": keypoint}, 0)
        ax.figure.canvas.draw()
    assert texts(ax) == ["nobody detected"]
    assert len(ax.collections) == 0
    assert ax.get_legend() is None


def test_a_hand_has_one_colour_and_no_legend():
    ax = plot.frame({"keypoint": np.random.default_rng(0).uniform(1, 99, size=(1, 3, 21, 2))}, 0)
    assert {c.get_label() for c in ax.collections} == {"center"}
    assert ax.get_legend() is None


def test_a_layout_can_be_given_by_name_or_made(clip):
    mine = layouts.Layout("mine", [f"joint_{j}" for j in range(17)], [(0, 16)])
    ax = plot.frame(clip, 0, layout=mine)
    np.testing.assert_allclose(bones(ax, "center"), [clip["keypoint"][0, 0, [0, 16]].astype(float)])
    assert len(bones(plot.frame(clip, 0, layout="coco"), "left")) > 0


def test_the_users_keywords_win(clip):
    ax = plot.frame(clip, 0, line_kws={"color": "black", "lw": 5}, marker_kws={"s": 77, "marker": "s"})
    lines = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert {to_hex(line.get_color()[0]) for line in lines} == {"#000000"}
    assert {line.get_linewidth()[0] for line in lines} == {5}
    assert {c.get_sizes()[0] for c in ax.collections if isinstance(c, PathCollection)} == {77}


def test_lines_are_thinner_in_a_crowd(clip):
    crowd = np.stack([0.2 * person_in_pixels(300 * m) for m in range(9)])
    width = {
        name: plot.frame({"keypoint": keypoint, "img_shape": (480, 640)}, 0).collections[0].get_linewidth()[0]
        for name, keypoint in {"one": clip["keypoint"], "crowd": crowd}.items()
    }
    assert 0.5 <= width["crowd"] < width["one"] <= 2


@pytest.mark.parametrize(
    ("t", "title"),
    [(0, "frame 0 of 10"), (9, "frame 9 of 10"), (-1, "frame 9 of 10"), (np.int16(3), "frame 3 of 10")],
)
def test_frames_count_from_0_and_negative_ones_from_the_end(clip, t, title):
    ax = plot.frame(clip, t)
    assert ax.get_title(loc="left") == title
    assert points(ax, "left")[0, 0] == pytest.approx(325 + 10 * (t % 10))


@pytest.mark.parametrize("t", [10, -11])
def test_a_frame_that_is_not_there_is_told_with_those_that_are(clip, t):
    with pytest.raises(IndexError, match=f"no frame {t}: its 10 frames are numbered 0 to 9"):
        plot.frame(clip, t)
    with pytest.raises(IndexError, match="no frame 0: it has no frames"):
        plot.frame({"keypoint": np.zeros((1, 0, 17, 2))}, 0)


# --- frame, in space


def test_metres_are_drawn_in_space_with_y_upwards(clip_3d):
    ax = plot.frame(clip_3d, 0)
    assert ax.name == "3d"
    x, y, z = clip_3d["keypoint"][0, 0, np.array(layouts.nturgbd.sides) == "left"].astype(float).T
    np.testing.assert_allclose(points_3d(ax, "left"), np.column_stack([x, z, y]))
    low, high = ax.get_zlim()
    assert low < -0.79 < 0.79 < high


def test_space_has_an_equal_scale(clip_3d):
    ax = plot.frame(clip_3d, 0)
    size = [np.ptp(limits) for limits in (ax.get_xlim(), ax.get_ylim(), ax.get_zlim())]
    inches_per_metre = np.divide(ax._box_aspect, size)
    np.testing.assert_allclose(inches_per_metre, inches_per_metre[0], rtol=1e-5)


def test_a_person_is_seen_as_the_camera_sees_them(clip_3d):
    from mpl_toolkits.mplot3d import proj3d

    ax = plot.frame(clip_3d, 0)
    ax.figure.canvas.draw()
    joints = clip_3d["keypoint"][0, 0].astype(float)
    on_paper = [proj3d.proj_transform(x, z, y, ax.get_proj()) for x, y, z in joints]
    place = dict(zip(layouts.nturgbd.joints, on_paper, strict=True))
    assert place["left_hand"][0] > place["right_hand"][0]  # who faces us has the left hand on our right
    assert place["head"][1] > place["left_foot"][1]


def test_a_zero_padded_second_body_is_not_drawn(clip_3d):
    ax = plot.frame(clip_3d, 0)
    assert sum(len(points_3d(ax, side)) for side in SIDE_COLORS) == 25
    assert texts(ax) == []
    assert ax.get_ylim()[0] > 2  # the zeros do not pull the view to the camera


def test_a_joint_at_the_origin_is_drawn_in_space(clip_3d):
    clip_3d["keypoint"][0] -= clip_3d["keypoint"][0, :, :1]  # as after centring on the base of the spine
    assert sum(len(points_3d(plot.frame(clip_3d, 0), side)) for side in SIDE_COLORS) == 25


def test_metres_in_plain_axes_are_seen_from_the_front(clip_3d):
    _, ax = plt.subplots()
    assert plot.frame(clip_3d, 0, ax=ax) is ax
    left = clip_3d["keypoint"][0, 0, np.array(layouts.nturgbd.sides) == "left", :2].astype(float)
    np.testing.assert_allclose(points(ax, "left"), left)
    assert ax.get_ylim()[0] < ax.get_ylim()[1]
    assert ax.get_aspect() == 1


def test_two_people_in_space_are_numbered():
    keypoint = np.stack([person_in_metres(-0.5), person_in_metres(0.5)])
    assert texts(plot.frame({"keypoint": keypoint}, 0)) == ["0", "1"]


# --- strip


@pytest.mark.parametrize(
    ("frames", "numbers"),
    [
        pytest.param(4, [0, 3, 6, 9], id="evenly-spaced"),
        pytest.param(1, [0], id="one"),
        pytest.param(99, list(range(10)), id="no-more-than-there-are"),
        pytest.param([7, 2, -1], [7, 2, 9], id="named"),
        pytest.param(np.array([1, 2]), [1, 2], id="array"),
        pytest.param(np.int64(2), [0, 9], id="numpy-number"),
    ],
)
def test_a_strip_shows_the_frames_asked_for(clip, frames, numbers):
    ax = plot.strip(clip, frames)
    assert [label.get_text() for label in ax.get_xticklabels()] == [str(t) for t in numbers]
    assert len(points(ax, "center")) == len(numbers)
    assert ax.get_title(loc="left") == f"{len(numbers)} of 10 frames"


@pytest.mark.parametrize("kind", ["2D", "3D"])
def test_bodies_of_a_strip_stand_side_by_side_in_their_own_proportions(clip, clip_3d, kind):
    clip, V = (clip, 17) if kind == "2D" else (clip_3d, 25)
    ax = plot.strip(clip, [0, 5, 9])
    sides = np.array(layouts.guess(V, int(kind[0])).sides)
    drawn = points(ax, "left").reshape(3, -1, 2)
    for body, t, center in zip(drawn, [0, 5, 9], ax.get_xticks(), strict=True):
        joints = clip["keypoint"][0, t].astype(float)[:, :2]
        middle = (joints[:, 0].min() + joints[:, 0].max()) / 2
        np.testing.assert_allclose(body - [center, 0], (joints - [middle, 0])[sides == "left"], rtol=1e-4, atol=1e-4)
    assert drawn[0, :, 0].max() < points(ax, "right").reshape(3, -1, 2)[1, :, 0].min()
    assert ax.get_aspect() == 1


@pytest.mark.parametrize("kind", ["2D", "3D"])
def test_people_fill_the_height_of_a_strip_the_right_way_up(clip, clip_3d, kind):
    ax = plot.strip(clip if kind == "2D" else clip_3d)
    drawn = np.concatenate([points(ax, side) for side in SIDE_COLORS])
    assert 0.8 < np.ptp(drawn[:, 1]) / np.ptp(ax.get_ylim()) < 1
    assert (ax.get_ylim()[0] > ax.get_ylim()[1]) == (kind == "2D")


def test_a_strip_keeps_missing_joints_and_absent_people_out(clip):
    clip["keypoint"][0, 5:] = 0
    clip["keypoint_score"][0, 5:] = 0
    clip["keypoint"][0, 0, 9] = np.nan
    ax = plot.strip(clip, [0, 1, 9])
    assert len(points(ax, "left")) == 8 + 7
    assert texts(ax) == ["nobody"]
    assert ax.texts[0].get_position()[0] == ax.get_xticks()[2]


def test_a_strip_of_nobody_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = plot.strip({"keypoint": np.zeros((0, 9, 17, 2))}, 3)
        ax.figure.canvas.draw()
    assert texts(ax) == ["nobody"] * 3


def test_a_strip_of_a_crowd_stays_within_a_notebooks_width():
    crowd = np.stack([person_in_pixels(60 * m) for m in range(30)])
    ax = plot.strip({"keypoint": crowd})
    assert len(ax.collections) == 6  # bones and joints of three sides, however many people
    width, height = ax.figure.get_size_inches()
    assert width <= 9.1
    assert height <= 3.1


@pytest.mark.parametrize("frames", [0, -2, []], ids=["none", "negative", "empty-list"])
def test_a_strip_needs_a_frame(clip, frames):
    with pytest.raises(ValueError, match="no frame to draw"):
        plot.strip(clip, frames)


def test_a_strip_refuses_frames_that_are_not_there_and_3d_axes(clip):
    with pytest.raises(IndexError, match="no frame 10: its 10 frames are numbered 0 to 9"):
        plot.strip(clip, [0, 10])
    ax = plt.figure().add_subplot(projection="3d")
    with pytest.raises(ValueError, match="a strip is drawn on plain axes"):
        plot.strip(clip, ax=ax)


# --- both

both = pytest.mark.parametrize(
    "draw", [lambda clip, **kw: plot.frame(clip, 0, **kw), plot.strip], ids=["frame", "strip"]
)


@both
def test_the_users_axes_come_back_and_no_other_figure_is_made(clip, draw):
    figure, (ax, other) = plt.subplots(1, 2)
    assert draw(clip, ax=ax) is ax
    assert plt.get_fignums() == [figure.number]
    assert not other.collections


@both
def test_new_axes_have_one_new_figure(clip, draw):
    ax = draw(clip)
    assert plt.get_fignums() == [ax.figure.number]


@both
def test_settings_and_the_clip_stay_as_they_were(clip, draw):
    settings, keypoint = dict(mpl.rcParams), clip["keypoint"].copy()
    clip["keypoint"].flags.writeable = False
    draw(clip)
    assert dict(mpl.rcParams) == settings
    assert clip["keypoint"].dtype == np.float16
    np.testing.assert_array_equal(clip["keypoint"], keypoint)


@both
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        pytest.param(None, TypeError, "expected a clip .* found NoneType", id="None"),
        pytest.param([{}], TypeError, "expected a clip .* found list", id="list-of-clips"),
        pytest.param({"frame_inds": [1], "box_score": [1]}, ValueError, "decompress", id="kinetics-record"),
        pytest.param({"label": 3}, ValueError, "needs 'keypoint', found only 'label'", id="no-keypoint"),
        pytest.param({}, ValueError, "found only nothing", id="empty"),
        pytest.param({"keypoint": np.zeros((40, 17, 3))}, ValueError, r"\[N, V, 3\].*decompress", id="compressed"),
        pytest.param({"keypoint": np.zeros((1, 9, 17))}, ValueError, r"\[M, T, V, 2 or 3\].*\(1, 9, 17\)", id="no-C"),
        pytest.param({"keypoint": np.zeros((1, 9, 17, 4))}, ValueError, r"\(1, 9, 17, 4\)", id="C-is-4"),
        pytest.param({"keypoint": np.full((1, 9, 17, 2), "a")}, ValueError, "expected numbers", id="text"),
        pytest.param({"keypoint": np.zeros((1, 9, 33, 3))}, ValueError, "33 joints of 3.*pass layout=", id="unknown-V"),
        pytest.param({"keypoint": np.zeros((1, 9, 25, 2))}, ValueError, "BODY_25.*pass layout=", id="either-25"),
        pytest.param({"keypoint": np.zeros((1, 9, 17, 3))}, ValueError, "score.*pass layout=", id="17-in-space"),
        pytest.param(
            {"keypoint": np.zeros((1, 9, 17, 2)), "keypoint_score": np.zeros((1, 9, 18))},
            ValueError,
            r"keypoint_score: expected \(1, 9, 17\)",
            id="score-of-another-shape",
        ),
    ],
)
def test_what_cannot_be_drawn_is_told_and_leaves_no_figure(draw, wrong, error, message):
    with pytest.raises(error, match=message):
        draw(wrong)
    assert plt.get_fignums() == []


@both
def test_a_layout_of_another_size_is_refused(clip, draw):
    with pytest.raises(ValueError, match=r"layout 'nturgb\+d' has 25 joints, and the clip has V = 17"):
        draw(clip, layout="nturgb+d")
    with pytest.raises(ValueError, match=r"no layout is named 'cocoo' \(nearest: coco\)"):
        draw(clip, layout="cocoo")


@pytest.mark.parametrize("size", [7, "wide", (None, None), (1080,)], ids=repr)
def test_a_picture_size_that_is_none_is_told(clip, size):
    with pytest.raises(ValueError, match=r"img_shape: expected \(height, width\), found"):
        plot.frame({**clip, "img_shape": size}, 0)


# --- presence


def shades_of(ax):
    return np.ma.filled(ax.images[0].get_array().astype(float), np.nan)


def test_presence_shows_the_mean_score_of_each_person_in_each_frame():
    keypoint, score = np.full((2, 4, 17, 2), 50.0), np.full((2, 4, 17), 0.5)
    keypoint[1, 2:], score[1, 2:] = 0, 0  # the second person leaves
    keypoint[0, 0, :9], score[0, 0, :9] = 0, 0  # of the first, half is hidden
    ax = plot.presence({"keypoint": keypoint, "keypoint_score": score})
    np.testing.assert_allclose(shades_of(ax), [[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, np.nan, np.nan]])
    assert (ax.get_title(loc="left"), ax.get_ylabel()) == ("2 person slots, 4 frames", "person slot")


def test_presence_without_scores_is_whole():
    keypoint = np.ones((2, 3, 25, 3))
    keypoint[1] = 0
    np.testing.assert_array_equal(shades_of(plot.presence({"keypoint": keypoint})), [[1, 1, 1], [np.nan] * 3])


def test_presence_needs_no_known_layout():
    assert shades_of(plot.presence({"keypoint": np.ones((1, 3, 33, 2))})).shape == (1, 3)


@pytest.mark.parametrize(("frames", "left"), [([1, 1, 3, 5], 1), ([0, 0, 2, 4], 0)], ids=["from 1", "from 0"])
def test_presence_of_detections_counts_frames_as_the_file_does(frames, left):
    box_score = np.array([0.9, 0.6, 0.8, 0.7], np.float16)
    ax = plot.presence({"frame_inds": np.array(frames, np.int16), "box_score": box_score, "total_frames": 6})
    found = shades_of(ax)
    assert found.shape == (2, 6)
    np.testing.assert_allclose(found[:, [0, 2, 4]], [[0.9, 0.8, 0.7], [0.6, np.nan, np.nan]], atol=1e-3)
    assert np.isnan(found[:, 1::2]).all()
    assert tuple(ax.images[0].get_extent()) == (left - 0.5, left + 5.5, 1.5, -0.5)
    assert ax.get_title(loc="left") == "4 skeletons in 3 of 6 frames"


def test_presence_of_no_detections_is_an_empty_picture():
    ax = plot.presence({"frame_inds": np.zeros(0, np.int16), "total_frames": 6})
    assert np.isnan(shades_of(ax)).all()
    assert ax.get_title(loc="left") == "0 skeletons in 0 of 6 frames"


def test_presence_draws_on_the_axes_and_with_the_keywords_it_is_given():
    _, given = plt.subplots()
    ax = plot.presence({"keypoint": np.ones((1, 3, 17, 2))}, ax=given, image_kws={"cmap": "Greys"})
    assert ax is given
    assert ax.images[0].get_cmap().name == "Greys"


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ({"frame_inds": [[1, 2]]}, r"expected two rows of one length, found \(1, 2\)"),
        ({"frame_inds": [1, 2], "box_score": [0.9]}, r"found \(2,\), \(1,\)"),
        ({"frame_inds": [2, 1]}, "expected numbers from 0 that never fall"),
        ({"frame_inds": [-1, 1]}, "expected numbers from 0 that never fall"),
        ({"label": 3}, "a clip needs 'keypoint'"),
    ],
    ids=["axes", "lengths", "order", "negative", "no clip"],
)
def test_presence_of_what_is_no_clip_is_told_and_leaves_no_figure(clip, message):
    with pytest.raises(ValueError, match=message):
        plot.presence(clip)
    assert plt.get_fignums() == []


# --- overview


def quality_table(**columns):
    import pandas as pd

    return pd.DataFrame({"frame_dir": list("abcd"), "people": [1, 1, 2, 5], "frames": [40, 50, 60, 70], **columns})


def test_an_overview_counts_clips_by_people():
    axes = plot.overview(quality_table())
    assert [ax.get_xlabel() for ax in axes] == ["person slots", "frames"]
    counts = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in axes[0].patches}
    assert counts == {1: 2, 2: 1, 5: 1}


def test_an_overview_counts_each_clip_once():
    shares = np.random.default_rng(0).uniform(0, 1, 4)
    *_, ax = plot.overview(quality_table(missing_joints=shares))
    assert ax.get_xlabel() == "share of missing joints"
    assert sum(bar.get_height() for bar in ax.patches) == 4


def test_an_overview_leaves_out_what_was_not_measured():
    axes = plot.overview(quality_table(mean_score=[np.nan] * 4))
    assert len(axes) == 2
    assert axes[0].figure.axes == axes


def test_an_overview_draws_on_the_axes_it_is_given():
    _, axes = plt.subplots(1, 3)
    assert plot.overview(quality_table(), axes=axes) == [axes[0], axes[1]]
    with pytest.raises(ValueError, match="2 axes are needed, for people, frames; found 1"):
        plot.overview(quality_table(), axes=axes[:1])


def test_an_overview_of_something_else_is_refused():
    with pytest.raises(ValueError, match=r"expected the table of pysklnb\.quality, found the columns frame_dir"):
        plot.overview(quality_table()[["frame_dir"]])
