import dataclasses
import pickle

import numpy as np
import pytest

from pysklnb import layouts
from pysklnb.layouts import Layout

BUILT_IN = [layouts.coco, layouts.openpose, layouts.nturgbd, layouts.handmp]
WITH_SIDES = [layouts.coco, layouts.openpose, layouts.nturgbd]

each_layout = pytest.mark.parametrize("layout", BUILT_IN, ids=lambda layout: layout.name)
each_layout_with_sides = pytest.mark.parametrize("layout", WITH_SIDES, ids=lambda layout: layout.name)


def indices_of(layout, side):
    return [j for j in range(layout.V) if layout.side(j) == side]


@pytest.mark.parametrize(
    ("layout", "V", "edges", "root"),
    [
        pytest.param(layouts.coco, 17, 18, "nose", id="coco"),
        pytest.param(layouts.openpose, 18, 18, "neck", id="openpose"),
        pytest.param(layouts.nturgbd, 25, 24, "spine_shoulder", id="nturgb+d"),
        pytest.param(layouts.handmp, 21, 20, "wrist", id="handmp"),
    ],
)
def test_a_built_in_layout_has_its_joints_edges_and_root(layout, V, edges, root):
    assert (layout.V, len(layout.joints), len(layout.edges)) == (V, V, edges)
    assert layout.joints[layout.root] == root


@pytest.mark.parametrize(
    ("layout", "joints"),
    [
        pytest.param(layouts.coco, {0: "nose", 5: "left_shoulder", 10: "right_wrist", 16: "right_ankle"}, id="coco"),
        pytest.param(
            layouts.openpose,
            {
                1: "neck",
                4: "right_wrist",
                7: "left_wrist",
                10: "right_ankle",
                13: "left_ankle",
                14: "right_eye",
            },
            id="openpose",
        ),
        pytest.param(
            layouts.nturgbd,
            {0: "spine_base", 3: "head", 7: "left_hand", 11: "right_hand", 15: "left_foot", 19: "right_foot"}
            | {
                20: "spine_shoulder",
                21: "left_hand_tip",
                22: "left_thumb",
                23: "right_hand_tip",
                24: "right_thumb",
            },
            id="nturgb+d",
        ),
        pytest.param(layouts.handmp, {0: "wrist", 4: "thumb_tip", 5: "index_mcp", 20: "pinky_tip"}, id="handmp"),
    ],
)
def test_joints_stand_where_the_format_has_them(layout, joints):
    assert {j: layout.joints[j] for j in joints} == joints


@pytest.mark.parametrize(
    ("layout", "left", "right"),
    [
        pytest.param(layouts.coco, range(1, 17, 2), range(2, 17, 2), id="coco-odd-is-left"),
        pytest.param(layouts.openpose, [5, 6, 7, 11, 12, 13, 15, 17], [2, 3, 4, 8, 9, 10, 14, 16], id="openpose"),
        pytest.param(
            layouts.nturgbd,
            [4, 5, 6, 7, 12, 13, 14, 15, 21, 22],
            [8, 9, 10, 11, 16, 17, 18, 19, 23, 24],
            id="nturgb+d",
        ),
        pytest.param(layouts.handmp, [], [], id="handmp-has-no-sides"),
    ],
)
def test_left_and_right_are_where_the_format_has_them(layout, left, right):
    assert indices_of(layout, "left") == list(left)
    assert indices_of(layout, "right") == list(right)


@each_layout
def test_the_edges_join_all_joints_into_one_body(layout):
    reached = {layout.root}
    for _ in layout.joints:
        reached |= {j for edge in layout.edges if reached & set(edge) for j in edge}
    assert reached == set(range(layout.V))


@each_layout_with_sides
def test_only_shoulders_and_hips_are_joined_across_the_body(layout):
    across = {
        (layout.joints[a], layout.joints[b])
        for a, b in layout.edges
        if {layout.side(a), layout.side(b)} == {"left", "right"}
    }
    parts = {tuple(sorted(joint.split("_", 1)[1] for joint in edge)) for edge in across}
    assert parts <= {("shoulder", "shoulder"), ("hip", "hip")}
    sides = dict(zip(layout.edges, layout.edge_sides, strict=True))
    assert {sides[layout.index(a), layout.index(b)] for a, b in across} <= {"center"}


@each_layout_with_sides
def test_an_edge_has_the_side_of_its_sided_joint(layout):
    sides = dict(zip(map(frozenset, layout.edges), layout.edge_sides, strict=True))
    for side in ("left", "right"):
        assert sides[frozenset((layout.index(f"{side}_elbow"), layout.index(f"{side}_wrist")))] == side
    if layout is layouts.nturgbd:
        assert sides[frozenset((0, layout.index("left_hip")))] == "left"
        assert sides[frozenset((0, 1))] == "center"


@each_layout_with_sides
def test_every_sided_joint_has_its_counterpart(layout):
    assert [left for left, _ in layout.pairs] == indices_of(layout, "left")
    assert sorted(right for _, right in layout.pairs) == indices_of(layout, "right")
    assert all(layout.joints[a].split("_", 1)[1] == layout.joints[b].split("_", 1)[1] for a, b in layout.pairs)


@each_layout
def test_the_mirror_undoes_itself_and_keeps_the_bones(layout):
    mirror = layout.mirror
    assert mirror[mirror].tolist() == list(range(layout.V))
    edges = {frozenset(edge) for edge in layout.edges}
    assert {frozenset(mirror[list(edge)].tolist()) for edge in layout.edges} == edges


@each_layout_with_sides
def test_the_mirror_takes_left_joints_to_right_ones(layout):
    keypoint = np.arange(layout.V)[np.newaxis, np.newaxis, :, np.newaxis]
    mirrored = keypoint[:, :, layout.mirror].ravel()
    swapped = [
        layout.joints[j].replace("left", "?").replace("right", "left").replace("?", "right") for j in range(layout.V)
    ]
    assert [layout.joints[j] for j in mirrored] == swapped


def test_a_hand_is_its_own_mirror_image():
    assert layouts.handmp.pairs == ()
    assert layouts.handmp.mirror.tolist() == list(range(21))


@pytest.mark.parametrize(
    ("joints", "edges", "root"),
    [
        pytest.param("hip neck head left_hand", "hip-neck neck-head neck-left_hand", "hip", id="one-string"),
        pytest.param("hip neck head left_hand", "hip-neck-head neck-left_hand", "hip", id="chains"),
        pytest.param(["hip", "neck", "head", "left_hand"], [(0, 1), (1, 2), (1, 3)], 0, id="indices"),
        pytest.param(
            ("hip", "neck", "head", "left_hand"),
            [("hip", "neck"), (1, "head"), "neck-left_hand"],
            "hip",
            id="a-mixture",
        ),
        pytest.param("hip neck head left_hand", np.array([[0, 1], [1, 2], [1, 3]]), np.int64(0), id="arrays"),
    ],
)
def test_a_layout_of_ones_own_takes_names_and_indices(joints, edges, root):
    mine = Layout("mine", joints, edges, root=root)
    assert mine.joints == ("hip", "neck", "head", "left_hand")
    assert mine.edges == ((0, 1), (1, 2), (1, 3))
    assert mine.root == 0
    assert mine.sides == ("center", "center", "center", "left")


def test_edges_and_root_may_be_left_out():
    points = Layout("points", "a b c")
    assert (points.edges, points.root, points.edge_sides) == ((), None, ())
    assert repr(points) == "<Layout 'points': 3 joints, 0 edges>"


def test_a_joint_without_its_counterpart_has_a_side_but_no_pair():
    one_armed = Layout("one-armed", "neck left_hand", "neck-left_hand")
    assert one_armed.side("left_hand") == "left"
    assert one_armed.pairs == ()
    assert one_armed.mirror.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("joints", "edges", "root", "message"),
    [
        pytest.param("", "", None, "it has no joints", id="no-joints"),
        pytest.param("hip hip neck", "", None, "the joint 'hip' is named more than once", id="same-name-twice"),
        pytest.param("hip neck", "hip-nekc", None, r"edge 'hip-nekc': .*'nekc' \(nearest: neck\)", id="unknown-joint"),
        pytest.param("hip neck", "hip-foot", None, r"'foot' \(known: hip, neck\)", id="unlike-any-joint"),
        pytest.param(
            "hip neck",
            [(0, 2)],
            None,
            r"edge \(0, 2\): .* index 2 \(they go from 0 to 1\)",
            id="no-such-index",
        ),
        pytest.param("hip neck", [(0, -1)], None, "no joint has the index -1", id="negative-index"),
        pytest.param("hip neck", "hip-hip", None, "edge 'hip-hip': joins 'hip' to itself", id="joint-to-itself"),
        pytest.param("hip neck", "hip-neck neck-hip", None, "'neck' and 'hip' are joined already", id="edge-twice"),
        pytest.param("hip neck", "hip", None, "edge 'hip': expected two joints or more", id="one-ended-edge"),
        pytest.param("hip neck", "", "heap", r"root: no joint is named 'heap' \(nearest: hip\)", id="unknown-root"),
    ],
)
def test_a_faulty_layout_says_what_is_wrong(joints, edges, root, message):
    with pytest.raises(ValueError, match=message):
        Layout("mine", joints, edges, root)


def test_all_faults_of_a_layout_are_told_at_once():
    with pytest.raises(ValueError, match=r"^layout 'mine': .*'hip'.*; edge 'hip-foot'.*; root: .*'heap'"):
        Layout("mine", "hip hip neck", "hip-foot", root="heap")


def test_an_unknown_joint_is_told_with_the_nearest_names():
    with pytest.raises(ValueError, match=r"no joint is named 'left_wrists' \(nearest: left_wrist, "):
        layouts.coco.side("left_wrists")


def test_a_layout_is_a_value():
    mine = Layout("mine", "hip neck", "hip-neck")
    assert mine == Layout("mine", ["hip", "neck"], [(0, 1)])
    assert len({mine, Layout("mine", "hip neck", "hip-neck")}) == 1
    assert pickle.loads(pickle.dumps(mine)) == mine
    assert dataclasses.replace(mine, root="neck").root == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        mine.name = "yours"


def test_editing_a_mirror_does_not_touch_the_layout():
    layouts.coco.mirror[:] = 0
    assert layouts.coco.mirror[:3].tolist() == [0, 2, 1]


def test_get_gives_layouts_by_name_and_lets_layouts_through():
    assert [layouts.get(name) for name in layouts.names()] == BUILT_IN
    mine = Layout("mine", "hip")
    assert layouts.get(mine) is mine


def test_get_says_which_names_are_near():
    with pytest.raises(ValueError, match=r"no layout is named 'nturgbd' \(nearest: nturgb\+d\)"):
        layouts.get("nturgbd")
    with pytest.raises(TypeError, match="expected a layout or its name, found int"):
        layouts.get(17)


@pytest.mark.parametrize(
    ("V", "C", "layout", "reason"),
    [
        (17, 2, layouts.coco, "COCO"),
        (17, 3, layouts.coco, "score"),
        (18, 2, layouts.openpose, "OpenPose"),
        (18, 3, layouts.openpose, "score"),
        (21, 2, layouts.handmp, "hand"),
        (21, 3, layouts.handmp, "hand"),
        (25, 3, layouts.nturgbd, "NTU"),
        (25, 2, None, "BODY_25"),
        (33, 3, None, "no known layout has 33 joints of 3 values"),
        (17, 4, None, "no known layout"),
        (0, 0, None, "no known layout"),
    ],
)
def test_a_guess_is_made_from_V_and_C_and_gives_its_reason(V, C, layout, reason):
    assert layouts.guess(V, C) is layout
    assert layouts.guess(np.int64(V), np.int64(C)) is layout
    assert reason in layouts.guess_reason(V, C)
