"""The bundled miniatures are true to the form of the real files, and the people in them move like people."""

import doctest
import pickle
import pickletools
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import body
import make_miniatures
import motions
import numpy as np
import pytest

from pysklnb import catalog, layouts

FOLDER = Path(make_miniatures.FOLDER)
FILES = sorted(make_miniatures.MAKERS)
NTU_KEYS = [
    "frame_dir", "label", "img_shape", "original_shape", "total_frames", "keypoint", "keypoint_score",
]  # fmt: skip
K400_KEYS = [
    "frame_dir", "label", "img_shape", "original_shape", "total_frames", "frame_inds", "box_score", "valid", "raw_file",
]  # fmt: skip
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
# The names of setup 1 in the list of clips with missing skeletons that the authors of NTU RGB+D publish.
NTU_MISSING = {
    "S001C002P005R002A008", "S001C002P006R001A008", "S001C003P002R001A055", "S001C003P002R002A012",
    "S001C003P005R002A004", "S001C003P005R002A005", "S001C003P005R002A006", "S001C003P006R002A008",
}  # fmt: skip

every_2d = pytest.mark.parametrize("name", ["ntu60_hrnet", "ucf101_hrnet"])


@cache
def stored(name):
    """What is in a bundled file; these are our own, so the standard pickle may open them."""
    return pickle.loads((FOLDER / name).read_bytes())


def clips(name):
    return stored(f"{name}.pkl")["annotations"]


def clip(name, frame_dir):
    return next(clip for clip in clips(name) if clip["frame_dir"] == frame_dir)


def kpfile_rows(record):
    """The skeletons [N, 17, 3] that belong to a record of the Kinetics index."""
    return stored(f"k400_kpfiles/{Path(record['raw_file']).name}")[record["frame_dir"]]["keypoint"]


def assert_same(made, kept, place=""):
    """Equal in kind, order and value; floats may differ by the last bit, as libraries of mathematics do."""
    assert type(made) is type(kept), place
    if isinstance(made, dict):
        assert list(made) == list(kept), place
        for key in made:
            assert_same(made[key], kept[key], f"{place}[{key!r}]")
    elif isinstance(made, (list, tuple)):
        assert len(made) == len(kept), place
        for index, pair in enumerate(zip(made, kept, strict=True)):
            assert_same(*pair, f"{place}[{index}]")
    elif isinstance(made, np.ndarray):
        assert (made.dtype, made.shape) == (kept.dtype, kept.shape), place
        if made.dtype.kind == "f":
            np.testing.assert_array_max_ulp(made, kept, maxulp=1)
        else:
            np.testing.assert_array_equal(made, kept, err_msg=place)
    else:
        assert made == kept, place


# --- all files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_made_again_a_miniature_is_the_same(name):
    assert_same(make_miniatures.MAKERS[name](), stored(name))


def test_the_folder_holds_what_the_script_writes_and_nothing_else():
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert found == {*FILES, "README.txt"}


def test_the_readme_says_that_the_motion_is_synthetic():
    assert (FOLDER / "README.txt").read_text(encoding="utf-8") == make_miniatures.README
    assert "synthetic" in make_miniatures.README


def test_all_files_together_leave_room_for_the_other_data_sets():
    assert sum((FOLDER / name).stat().st_size for name in FILES) < 1_300_000


@pytest.mark.parametrize("name", FILES)
def test_the_pickle_is_what_the_official_tools_write(name):
    operations = [(code.name, value) for code, value, _ in pickletools.genops((FOLDER / name).read_bytes())]
    assert operations[0] == ("PROTO", 2)
    names = {value for code, value in operations if code == "GLOBAL"}
    needed = {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype", "_codecs encode"}
    assert needed <= names <= needed | {"__builtin__ bytes"}


@pytest.mark.parametrize("name", ["ntu60_hrnet", "ntu60_3danno", "ucf101_hrnet", "k400_hrnet"])
def test_a_data_set_agrees_with_its_card(name):
    card, data = catalog[name], stored(f"{name}.pkl")
    assert list(data) == ["split", "annotations"]
    assert tuple(data["split"]) == card.splits
    assert all(type(clip["label"]) is int and 0 <= clip["label"] < card.classes for clip in data["annotations"])
    assert len({clip["frame_dir"] for clip in data["annotations"]}) == len(data["annotations"])
    assert {key for ids in data["split"].values() for key in ids} == {clip["frame_dir"] for clip in data["annotations"]}


@pytest.mark.parametrize("name", FILES)
def test_no_value_is_nan_or_infinite(name):
    data = stored(name)
    records = data["annotations"] if "annotations" in data else data.values()
    arrays = [value for record in records for value in record.values() if isinstance(value, np.ndarray)]
    assert arrays
    assert all(np.isfinite(array).all() for array in arrays)


@every_2d
def test_2d_annotations_have_the_documented_keys_types_and_shapes(name):
    for record in clips(name):
        people, frames = record["keypoint"].shape[:2]
        assert list(record) == NTU_KEYS
        assert type(record["frame_dir"]) is str
        assert type(record["total_frames"]) is int
        assert record["total_frames"] == frames
        assert type(record["img_shape"]) is tuple
        assert record["img_shape"] is record["original_shape"]
        assert record["keypoint"].shape == (people, frames, 17, 2)
        assert record["keypoint_score"].shape == (people, frames, 17)
        assert record["keypoint"].dtype == record["keypoint_score"].dtype == np.float16


@every_2d
def test_a_joint_without_score_has_no_place_and_the_other_way_round(name):
    for record in clips(name):
        nowhere = (record["keypoint"] == 0).all(axis=-1)
        np.testing.assert_array_equal(nowhere, record["keypoint_score"] == 0)


@every_2d
def test_scores_are_mostly_high_and_some_exceed_one_a_little(name):
    scores = np.concatenate([record["keypoint_score"].ravel() for record in clips(name)])
    found = scores[scores > 0]
    assert 1 < scores.max() <= 1.024
    assert np.mean(found > 0.85) > 0.75
    assert found.min() < 0.7


@every_2d
def test_single_joints_of_people_in_sight_are_missing_now_and_then(name):
    lost = [(record["keypoint_score"] == 0).sum(axis=-1) for record in clips(name)]
    assert sum(int(((gone > 0) & (gone < 17)).sum()) for gone in lost) > 10


# --- NTU RGB+D -------------------------------------------------------------------------------------------------


def test_ntu_names_are_official_and_none_is_in_the_list_of_missing_skeletons():
    ids = [record["frame_dir"] for record in clips("ntu60_hrnet")]
    assert all(re.fullmatch(r"S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}", frame_dir) for frame_dir in ids)
    assert not set(ids) & NTU_MISSING
    assert all(record["label"] == int(record["frame_dir"][-3:]) - 1 for record in clips("ntu60_hrnet"))


def test_ntu_labels_are_those_of_the_motions():
    names = [catalog["ntu60_hrnet"].class_names[label] for label in make_miniatures.NTU_SCENES]
    assert names == [
        "sitting down", "standing up (from sitting position)", "clapping", "hand waving", "kicking something",
        "jump up", "punching/slapping other person", "walking towards each other",
    ]  # fmt: skip


def test_ntu_splits_follow_the_official_protocols():
    split = stored("ntu60_hrnet.pkl")["split"]
    assert {int(frame_dir[9:12]) for frame_dir in split["xsub_train"]} == {1, 2, 4, 5}
    assert {int(frame_dir[9:12]) for frame_dir in split["xsub_val"]} == {3, 6, 7}
    assert {frame_dir[4:8] for frame_dir in split["xview_train"]} == {"C002", "C003"}
    assert {frame_dir[4:8] for frame_dir in split["xview_val"]} == {"C001"}
    assert sorted(split["xsub_train"] + split["xsub_val"]) == sorted(split["xview_train"] + split["xview_val"])
    assert stored("ntu60_3danno.pkl")["split"] == split


def test_the_constant_of_training_performers_is_the_official_set_of_53():
    assert len(make_miniatures.NTU_TRAIN_PERFORMERS) == 53


@pytest.mark.parametrize("split", ["xsub_train", "xsub_val", "xview_train", "xview_val"])
def test_every_class_is_in_every_ntu_split(split):
    labels = {int(frame_dir[-3:]) - 1 for frame_dir in stored("ntu60_hrnet.pkl")["split"][split]}
    assert labels == set(make_miniatures.NTU_SCENES)


def test_ntu_pictures_are_full_hd_and_clips_are_not_shorter_than_the_real_ones():
    assert {record["img_shape"] for record in clips("ntu60_hrnet")} == {(1080, 1920)}
    assert min(record["total_frames"] for record in clips("ntu60_hrnet")) >= 32


def test_two_people_are_in_the_clips_of_two_person_classes_only():
    assert {record["label"] for record in clips("ntu60_hrnet") if len(record["keypoint"]) == 2} == {49, 58}
    assert {len(record["keypoint"]) for record in clips("ntu60_hrnet")} == {1, 2}


def test_some_ntu_frames_show_nobody():
    empty = [(record["keypoint_score"] == 0).all(axis=(0, 2)).sum() for record in clips("ntu60_hrnet")]
    assert sorted(count for count in empty if count) == [2, 3]


@pytest.mark.parametrize("name", ["ntu60_hrnet", "ntu60_3danno"])
def test_the_second_person_may_be_absent_at_first(name):
    pairs = [record["keypoint"] for record in clips(name) if record["label"] == 58]
    late = [keypoint for keypoint in pairs if not keypoint[1, 0].any()]
    assert len(late) == 2
    assert all(keypoint[0, 0].any() and keypoint[1, -1].any() for keypoint in late)


def test_ntu_3d_has_exactly_four_keys_and_float16_metres():
    for record in clips("ntu60_3danno"):
        assert list(record) == ["frame_dir", "label", "keypoint", "total_frames"]
        assert record["keypoint"].dtype == np.float16
        assert record["keypoint"].shape[1:] == (record["total_frames"], 25, 3)
        assert record["keypoint"].any(axis=(0, 2, 3)).all(), "frames without anybody are dropped"


def test_ntu_3d_has_the_clips_of_2d_and_some_are_shorter():
    twins = list(zip(clips("ntu60_hrnet"), clips("ntu60_3danno"), strict=True))
    assert all((flat["frame_dir"], flat["label"]) == (deep["frame_dir"], deep["label"]) for flat, deep in twins)
    assert sorted(flat["total_frames"] - deep["total_frames"] for flat, deep in twins)[-3:] == [0, 2, 3]


def test_one_clip_has_a_second_body_of_nothing_but_zeros():
    second = [record["keypoint"][1] for record in clips("ntu60_3danno") if len(record["keypoint"]) == 2]
    assert sum(not person.any() for person in second) == 1


def test_in_3d_heads_are_up_and_people_stand_in_front_of_the_camera():
    joints = layouts.nturgbd.joints
    for record in clips("ntu60_3danno"):
        body_0 = record["keypoint"][0].astype(np.float64)
        assert (body_0[:, joints.index("head"), 1] > body_0[:, joints.index("left_foot"), 1] + 0.6).all()
        assert (body_0[..., 2] > 1.5).all()
        assert (body_0[..., 2] < 5.5).all()


def test_2d_is_the_projection_of_3d():
    joints_2d, joints_3d = layouts.coco.joints, layouts.nturgbd.joints
    shared = [name for name in joints_2d if name in joints_3d]
    assert len(shared) == 12
    for flat, deep in zip(clips("ntu60_hrnet"), clips("ntu60_3danno"), strict=True):
        seen = (flat["keypoint_score"] != 0).any(axis=(0, 2))
        pixels = flat["keypoint"][:, seen][:, :, [joints_2d.index(name) for name in shared]].astype(np.float64)
        metres = deep["keypoint"][: len(pixels), :, [joints_3d.index(name) for name in shared]].astype(np.float64)
        found = pixels.any(axis=-1) & metres.any(axis=-1)
        x, y, z = metres[found].T
        away = np.hypot(960 + 1060 * x / z - pixels[found][:, 0], 540 - 1060 * y / z - pixels[found][:, 1])
        assert np.median(away) < 6, flat["frame_dir"]
        assert away.max() < 45, flat["frame_dir"]


@pytest.mark.parametrize(("name", "joints"), [("ntu60_hrnet", layouts.coco), ("ntu60_3danno", layouts.nturgbd)])
def test_who_faces_the_camera_has_the_left_shoulder_on_the_right_of_the_picture(name, joints):
    left, right = joints.joints.index("left_shoulder"), joints.joints.index("right_shoulder")
    facing = clip(name, "S001C002P001R001A010")["keypoint"][0].astype(np.float64)
    assert (facing[:, left, 0] > facing[:, right, 0]).all()


def features(record, root):
    """Means and spreads over time, in the halves of a clip, of the first person's joints, in body sizes."""
    person = record["keypoint"][0].astype(np.float64)
    person = person[person.any(axis=(1, 2))]
    person[~person.any(axis=-1)] = np.nan
    person -= np.nanmean(person[:, root], axis=(0, 1))
    person /= np.nanstd(person[..., 1])
    halves = np.array_split(np.nan_to_num(person), 2)
    return np.concatenate([part.ravel() for half in halves for part in (half.mean(axis=0), 2 * half.std(axis=0))])


@pytest.mark.parametrize("protocol", ["xsub", "xview"])
@pytest.mark.parametrize(("name", "root"), [("ntu60_hrnet", [11, 12]), ("ntu60_3danno", [0])])
def test_a_nearest_centroid_classifier_tells_the_actions_apart(name, root, protocol):
    split = stored(f"{name}.pkl")["split"]
    table = {record["frame_dir"]: (features(record, root), record["label"]) for record in clips(name)}
    train_x, train_y = map(np.array, zip(*[table[key] for key in split[f"{protocol}_train"]], strict=True))
    val_x, val_y = map(np.array, zip(*[table[key] for key in split[f"{protocol}_val"]], strict=True))
    classes = np.unique(train_y)
    centroids = np.stack([train_x[train_y == label].mean(axis=0) for label in classes])
    nearest = classes[np.linalg.norm(val_x[:, None] - centroids, axis=-1).argmin(axis=1)]
    assert np.mean(nearest == val_y) >= 0.8


# --- UCF101 ----------------------------------------------------------------------------------------------------


def test_ucf101_ids_name_their_class():
    for record in clips("ucf101_hrnet"):
        name = re.fullmatch(r"v_([A-Za-z]+)_g(?:0[1-9]|1\d|2[0-5])_c0\d", record["frame_dir"])[1]
        assert catalog["ucf101_hrnet"].class_names[record["label"]] == name


def test_ucf101_videos_are_256_by_340():
    assert {record["img_shape"] for record in clips("ucf101_hrnet")} == {(256, 340)}


def test_ucf101_shows_nobody_one_person_and_crowds_of_up_to_30():
    people = [len(record["keypoint"]) for record in clips("ucf101_hrnet")]
    assert people.count(0) == 1
    assert people.count(1) >= 10
    assert sum(number >= 10 for number in people) >= 3
    assert max(people) == 30


def test_the_shortest_ucf101_clip_has_four_frames():
    assert min(record["total_frames"] for record in clips("ucf101_hrnet")) == 4


def test_some_ucf101_joints_lie_outside_the_picture():
    x = np.concatenate([record["keypoint"][record["keypoint_score"] > 0][:, 0] for record in clips("ucf101_hrnet")])
    assert 0 < np.mean((x < 0) | (x > 340)) < 0.05


@pytest.mark.parametrize(("fold", "groups"), [(1, range(1, 8)), (2, range(8, 15)), (3, range(15, 22))])
def test_a_ucf101_fold_tests_its_seven_groups_and_trains_on_all_others(fold, groups):
    split, ids = stored("ucf101_hrnet.pkl")["split"], [record["frame_dir"] for record in clips("ucf101_hrnet")]
    tested = [frame_dir for frame_dir in ids if int(re.search(r"_g(\d\d)", frame_dir)[1]) in groups]
    assert split[f"test{fold}"] == tested
    assert len({frame_dir.split("_")[1] for frame_dir in tested}) == 6
    assert sorted(split[f"train{fold}"] + tested) == sorted(ids)


# --- Kinetics-400 ----------------------------------------------------------------------------------------------


def test_k400_records_have_the_documented_keys_and_types():
    for record in clips("k400_hrnet"):
        assert list(record) == K400_KEYS
        assert record["img_shape"] is record["original_shape"]
        assert record["frame_inds"].dtype == np.int16
        assert record["box_score"].dtype == np.float16
        assert [(type(key), type(value)) for key, value in record["valid"].items()] == [(float, int)] * 5
        assert tuple(record["valid"]) == THRESHOLDS


def test_k400_labels_are_those_of_the_motions():
    names = {catalog["k400_hrnet"].class_names[record["label"]] for record in clips("k400_hrnet")}
    assert names == {
        "clapping", "drinking", "kicking soccer ball", "marching", "punching person (boxing)", "squat",
    }  # fmt: skip


def test_k400_frames_count_from_one_are_odd_and_never_go_back():
    for record in clips("k400_hrnet"):
        inds = record["frame_inds"].astype(int)
        assert (inds % 2 == 1).all()
        assert (np.diff(inds) >= 0).all()
        assert inds.min() >= 1
        assert inds.max() <= record["total_frames"]


def test_k400_steps_are_mostly_two_and_at_most_18():
    steps = np.concatenate([np.diff(np.unique(record["frame_inds"])) for record in clips("k400_hrnet")])
    assert np.mean(steps == 2) > 0.9
    assert set(steps) - {2} <= set(range(4, 19, 2))
    assert steps.max() > 4


def test_the_last_frame_of_some_k400_videos_is_annotated_and_of_some_it_is_not():
    last = [record["frame_inds"].max() == record["total_frames"] for record in clips("k400_hrnet")]
    assert 2 <= sum(last) < len(last)


def test_k400_boxes_are_sorted_by_score_inside_each_frame():
    for record in clips("k400_hrnet"):
        rows = zip(pairwise(record["frame_inds"]), pairwise(record["box_score"]), strict=True)
        assert all(first >= second for (frame, following), (first, second) in rows if frame == following)
        assert record["box_score"].min() >= 0.5


def valid_counts(record, dtype):
    scores = record["box_score"].astype(dtype)
    return {threshold: len(np.unique(record["frame_inds"][scores >= dtype(threshold)])) for threshold in THRESHOLDS}


def test_k400_valid_counts_frames_with_scores_compared_in_float32():
    assert all(record["valid"] == valid_counts(record, np.float32) for record in clips("k400_hrnet"))


def test_comparing_k400_scores_in_float16_would_count_otherwise():
    assert any(record["valid"] != valid_counts(record, np.float16) for record in clips("k400_hrnet"))


def test_one_k400_clip_has_more_than_ten_people_in_a_frame():
    assert max(np.unique(record["frame_inds"], return_counts=True)[1].max() for record in clips("k400_hrnet")) > 10


def test_k400_ids_look_like_ids_of_videos_and_two_differ_by_case_only():
    ids = [record["frame_dir"] for record in clips("k400_hrnet")]
    assert all(re.fullmatch(r"[\w-]{11}", frame_dir, re.ASCII) for frame_dir in ids)
    assert len({frame_dir.lower() for frame_dir in ids}) == len(ids) - 1


def test_each_k400_record_has_its_skeletons_row_by_row_in_the_kpfile_it_names():
    for record in clips("k400_hrnet"):
        assert re.fullmatch(r"data/k400/kpfiles/k400_[01]\.pkl", record["raw_file"])
        rows = kpfile_rows(record)
        assert rows.dtype == np.float16
        assert rows.shape == (len(record["frame_inds"]), 17, 3) == (len(record["box_score"]), 17, 3)


def test_the_two_kpfiles_hold_each_clip_once():
    held = [key for name in ("k400_0.pkl", "k400_1.pkl") for key in stored(f"k400_kpfiles/{name}")]
    assert held == [record["frame_dir"] for record in clips("k400_hrnet")]


# --- The body --------------------------------------------------------------------------------------------------

MOTIONS = {
    "stand": motions.stand,
    "wave": motions.wave,
    "clap": motions.clap,
    "drink": motions.drink,
    "sit_down": motions.sit_down,
    "stand_up": motions.stand_up,
    "kick": motions.kick,
    "jump": motions.jump,
    "squat": motions.squat,
    "jumping_jack": motions.jumping_jack,
    "punch": motions.punch,
    "take_punch": motions.take_punch,
    "box": motions.box,
    "walk": motions.walker(distance=1.0),
    "march": motions.walker(knees=0.1),
}
every_motion = pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS)
BONES = [
    bone
    for side in body.SIDES
    for bone in (
        ("spine_shoulder", f"{side}_shoulder"), (f"{side}_shoulder", f"{side}_elbow"),
        (f"{side}_elbow", f"{side}_wrist"), (f"{side}_wrist", f"{side}_hand"), (f"{side}_hand", f"{side}_hand_tip"),
        ("spine_base", f"{side}_hip"), (f"{side}_hip", f"{side}_knee"), (f"{side}_knee", f"{side}_ankle"),
        (f"{side}_ankle", f"{side}_foot"), ("head", f"{side}_ear"), ("head", f"{side}_eye"),
    )
] + [("spine_base", "spine_mid"), ("spine_mid", "spine_shoulder"), ("neck", "head"), ("head", "nose")]  # fmt: skip


def performances(motion):
    """The joints of the same motion by six people."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        performer = body.Performer.draw(rng)
        yield body.articulate(motion(performer, np.arange(46) / 30, rng), performer)


def test_the_examples_of_the_body_run():
    assert doctest.testmod(body) == (0, 1)


@every_motion
def test_no_bone_changes_its_length(motion):
    for joints in performances(motion):
        for start, end in BONES:
            assert np.ptp(np.linalg.norm(joints[end] - joints[start], axis=-1)) < 0.012, (start, end)


@every_motion
def test_feet_do_not_go_through_the_floor(motion):
    for joints in performances(motion):
        assert min(joints[f"{side}_{part}"][:, 1].min() for side in body.SIDES for part in ("foot", "ankle")) > -0.01


@every_motion
def test_knees_and_elbows_bend_one_way_only(motion):
    for joints in performances(motion):
        left = body.unit(joints["left_hip"] - joints["right_hip"])
        chest = body.unit(np.cross(joints["left_shoulder"] - joints["right_shoulder"], [0.0, 1.0, 0.0]))
        for side in body.SIDES:
            hip, knee, ankle = (joints[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
            ahead = np.cross(body.unit(ankle - hip), left)
            assert (((knee - hip) * ahead).sum(axis=-1) > -0.01).all(), f"{side} knee"
            upper = joints[f"{side}_elbow"] - joints[f"{side}_shoulder"]
            fore = joints[f"{side}_wrist"] - joints[f"{side}_elbow"]
            hanging = upper[:, 1] < -0.8 * np.linalg.norm(upper, axis=-1)
            assert ((body.unit(fore) - body.unit(upper)) * chest).sum(axis=-1)[hanging].min(initial=0) > -0.1, side


@every_motion
def test_nobody_is_faster_than_people_are(motion):
    for joints in performances(motion):
        fastest = max(np.linalg.norm(np.diff(track, axis=0), axis=-1).max() * 30 for track in joints.values())
        assert fastest < 13  # m/s, of a foot that kicks


def test_a_standing_foot_of_a_walker_does_not_slide():
    for joints in performances(MOTIONS["walk"]):
        for side in body.SIDES:
            foot = joints[f"{side}_foot"]
            planted = (foot[1:, 1] < 0.036) & (foot[:-1, 1] < 0.036)
            assert planted.sum() > 15
            assert np.linalg.norm(np.diff(foot[:, [0, 2]], axis=0)[planted], axis=-1).max() < 0.02


def test_arms_swing_against_the_legs_of_the_same_side():
    for joints in performances(MOTIONS["march"]):
        for side in body.SIDES:
            leg = joints[f"{side}_ankle"][:, 2] - joints["spine_base"][:, 2]
            arm = joints[f"{side}_wrist"][:, 2] - joints["spine_base"][:, 2]
            assert np.corrcoef(leg, arm)[0, 1] < -0.6


def test_a_jump_crouches_flies_and_lands():
    for joints in performances(motions.jump):
        lowest_foot = np.minimum(joints["left_foot"][:, 1], joints["right_foot"][:, 1])
        flight = np.flatnonzero(lowest_foot > 0.1)
        hips = joints["spine_base"][:, 1]
        assert len(flight) > 5
        assert hips[: flight[0]].min() < hips[0] - 0.15
        assert hips[flight[-1] :].min() < hips[0] - 0.1
        assert lowest_foot[-1] < 0.04


def test_hands_meet_when_clapping():
    for joints in performances(motions.clap):
        apart = np.linalg.norm(joints["left_hand"] - joints["right_hand"], axis=-1)[15:]
        assert apart.min() < 0.1
        assert apart.max() > 0.2
