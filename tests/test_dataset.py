import concurrent.futures
import multiprocessing
import os
import pickle

import numpy as np
import pytest

from pysklnb import Dataset, FormatError, load, sample, save
from pysklnb.dataset import Annotation
from pysklnb.sources import ArrayHandle


def clip(name, label=0, people=1, frames=4):
    rng = np.random.default_rng(label * 100 + people * 10 + frames)
    shape = (1080, 1920)
    return {
        "frame_dir": name,
        "label": label,
        "img_shape": shape,
        "original_shape": shape,
        "total_frames": frames,
        "keypoint": rng.uniform(0, 1000, (people, frames, 17, 2)).astype(np.float16),
        "keypoint_score": rng.uniform(0, 1, (people, frames, 17)).astype(np.float16),
    }


@pytest.fixture
def plain():
    """Six clips, a to f, of three labels, one split of four and one of two."""
    clips = [clip(name, label, 1 + label % 2, 4 + label) for name, label in zip("abcdef", [0, 1, 2] * 2, strict=True)]
    return {"split": {"train": ["f", "a", "b", "c"], "val": ["d", "e"]}, "annotations": clips}


@pytest.fixture(params=[2, 4], ids=["protocol2", "protocol4"])
def file(request, plain, tmp_path):
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(plain, request.param))
    return path


@pytest.fixture
def ds(file):
    return load(file)


def dump(value, path):
    path.write_bytes(pickle.dumps(value, 4))
    return path


def assert_same_clip(found, expected):
    assert list(found) == list(expected)
    for key, value in expected.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found[key], value, strict=True)
        else:
            assert found[key] == value
            assert type(found[key]) is type(value)


# --- containers

COMPRESSED = {"keypoint": np.arange(4 * 17 * 3, dtype=np.float16).reshape(4, 17, 3)}
CONTAINERS = {
    "dict": ({"split": {"train": ["a"]}, "annotations": [clip("a"), clip("b")]}, "dict", ["a", "b"]),
    "dict without split": ({"annotations": [clip("a")]}, "dict", ["a"]),
    "list": ([clip("a"), clip("b")], "list", ["a", "b"]),
    "list without clips": ([], "list", []),
    "annotation": (clip("a"), "annotation", ["a"]),
    "kpfile of many": ({"x": COMPRESSED, "y": COMPRESSED}, "kpfile", ["x", "y"]),
    "kpfile as a list": ([{"frame_dir": "x", **COMPRESSED}], "list", ["x"]),
    "kpfile of one video": (COMPRESSED, "kpfile", ["data"]),
    "index": ([{"frame_dir": "x", "frame_inds": np.array([1, 3], np.int16)}], "list", ["x"]),
}


@pytest.mark.parametrize(("value", "container", "ids"), CONTAINERS.values(), ids=CONTAINERS.keys())
def test_every_container_gives_its_clips(value, container, ids, tmp_path):
    ds = load(dump(value, tmp_path / "data.pkl"))
    assert (ds.container, [found["frame_dir"] for found in ds]) == (container, ids)
    assert ds.origin == str(tmp_path / "data.pkl")
    assert ds["split"] == (value.get("split", {}) if isinstance(value, dict) else {})


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_every_protocol_gives_the_same_clips(protocol, plain, tmp_path):
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(plain, protocol))
    for found, expected in zip(load(path), plain["annotations"], strict=True):
        assert_same_clip(found, expected)


def test_a_folder_gives_the_clips_of_its_files_by_name(tmp_path):
    for name in "bac":
        dump(clip(name), tmp_path / f"{name}.pkl")
    (tmp_path / "notes.txt").write_text("not read")
    (tmp_path / "._a.pkl").write_bytes(b"what some systems leave beside a file")
    ds = load(tmp_path)
    assert (ds.container, [found["frame_dir"] for found in ds]) == ("folder", ["a", "b", "c"])
    assert_same_clip(ds[1], clip("b"))


def test_a_folder_of_kpfiles_gives_all_their_clips(tmp_path):
    dump({"x": COMPRESSED, "y": COMPRESSED}, tmp_path / "1.pkl")
    dump(COMPRESSED, tmp_path / "z.pkl")
    assert [found["frame_dir"] for found in load(tmp_path)] == ["x", "y", "z"]


def test_a_folder_of_hundreds_of_files_keeps_none_open(tmp_path):
    for number in range(300):
        dump(clip(f"{number:03}"), tmp_path / f"{number:03}.pkl")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    ds = load(tmp_path)
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after - before < 5
    assert ds[299]["keypoint"].shape == (1, 4, 17, 2)


def test_a_folder_merges_into_one_file(tmp_path):
    (tmp_path / "videos").mkdir()
    for name in "abc":
        dump(clip(name), tmp_path / "videos" / f"{name}.pkl")
    save(load(tmp_path / "videos"), tmp_path / "all.pkl")
    found = pickle.loads((tmp_path / "all.pkl").read_bytes())
    assert found["split"] == {}
    for one, name in zip(found["annotations"], "abc", strict=True):
        assert_same_clip(one, clip(name))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "holds an int"),
        ("text", "holds a str"),
        ((["a"], [0]), "holds a tuple of 2 items"),
        ({}, "holds a dict with the keys"),
        ({"names": ["a"], "labels": [0]}, "a dict with the keys 'names', 'labels'"),
        ({"split": {}}, "a dict with the keys 'split'"),
        (np.zeros(3), "holds a single array"),
        ([1, 2], r"\[0\] is an int, expected an annotation"),
        ([("a", 1)], r"\[0\] is a tuple of 2 items"),
        ([{"pred_score": 0.5, "gt_label": 3}], r"'pred_score', 'gt_label': results of a model, perhaps"),
        ({"split": {}, "annotations": {"a": 1}}, "annotations is a dict"),
        ({"split": {}, "annotations": [clip("a"), 7]}, r"annotations\[1\] is an int"),
        ({"split": ["a"], "annotations": []}, "split is a list of 1 items, expected a dict"),
        ({"split": {"train": "a"}, "annotations": []}, r"split\['train'\] is a str, expected a list of ids"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_skeleton_data_is_refused_with_what_was_found(value, message, tmp_path):
    with pytest.raises(FormatError, match=message) as error:
        load(dump(value, tmp_path / "data.pkl"))
    assert str(tmp_path / "data.pkl") in str(error.value)


def test_a_folder_without_pickles_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"without \.pkl files"):
        load(tmp_path)


def test_a_data_set_among_one_video_pickles_is_refused(tmp_path):
    dump({"split": {}, "annotations": []}, tmp_path / "all.pkl")
    with pytest.raises(FormatError, match=r"all\.pkl is a whole data set .* Load that file by itself"):
        load(tmp_path)


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*data\.pkl"):
        load(tmp_path / "data.pkl")


def test_a_catalogue_name_instead_of_a_path_gets_a_hint():
    with pytest.raises(FileNotFoundError, match=r'pysklnb\.sample\("gym_hrnet"\)'):
        load("gym_hrnet")


# --- clips


def test_a_clip_has_the_files_keys_order_and_types(ds, plain):
    for found, expected in zip(ds, plain["annotations"], strict=True):
        assert_same_clip(found, expected)
        assert_same_clip(dict(found), expected)


def test_arrays_are_fresh_writable_and_own_their_memory(ds, plain):
    first = ds[0]["keypoint"]
    assert first.flags.owndata
    first[:] = -1
    np.testing.assert_array_equal(ds[0]["keypoint"], plain["annotations"][0]["keypoint"])


def test_editing_what_was_handed_out_changes_nothing(tmp_path):
    value = [
        {
            "frame_dir": "a",
            "valid": {0.5: 1},
            "boxes": [[1], np.zeros(3)],
            "keypoint": np.zeros((1, 2, 17, 2)),
        }
    ]
    for ds in (load(value), load(dump(value, tmp_path / "data.pkl"))):
        ds[0]["valid"][0.5] = 7
        ds[0]["boxes"][0].append(2)
        ds[0]["boxes"][1][:] = 5
        ds[0]["keypoint"][:] = 5
        assert ds[0]["valid"] == {0.5: 1}
        assert ds[0]["boxes"][0] == [1]
        assert ds[0]["boxes"][1].max() == ds[0]["keypoint"].max() == 0


def test_an_annotation_cannot_be_changed(ds):
    with pytest.raises(TypeError):
        ds[0]["label"] = 3


def test_a_missing_key_lists_the_nearest(ds):
    with pytest.raises(KeyError, match=r"no 'keypoints' in this annotation \(nearest: keypoint"):
        ds[0]["keypoints"]


def test_the_repr_of_a_clip_is_short_and_reads_nothing(ds, monkeypatch):
    monkeypatch.setattr(ArrayHandle, "read", lambda handle: pytest.fail("an array was read"))
    assert repr(ds[0]) == (
        "{'frame_dir': 'a', 'label': 0, 'img_shape': (1080, 1920), 'original_shape': (1080, 1920), "
        "'total_frames': 4, 'keypoint': <float16 array [1, 4, 17, 2]>, 'keypoint_score': <float16 array [1, 4, 17]>}"
    )


def test_none_in_the_place_of_a_clip_stays_none(tmp_path):
    ds = load(dump([clip("a"), None, clip("b")], tmp_path / "data.pkl"))
    assert [found is None for found in ds] == [False, True, False]
    assert ds[1] is None
    assert len(ds.select(label=0)) == 2
    assert "3, 1 of them None" in str(ds.describe())


# --- the documented form


def test_integers_and_slices_are_about_clips(ds):
    assert ds[-1]["frame_dir"] == ds[np.int64(5)]["frame_dir"] == "f"
    assert [found["frame_dir"] for found in ds[1:5:2]] == ["b", "d"]
    assert isinstance(ds[1:5:2], Dataset)
    with pytest.raises(IndexError, match="no clip 6: this data set has 6 clips"):
        ds[6]


def test_split_and_annotations_are_the_documented_form(ds, plain):
    assert ds["split"] == plain["split"]
    assert len(ds["annotations"]) == 6
    assert_same_clip(ds["annotations"][3], plain["annotations"][3])
    assert [found["frame_dir"] for found in ds["annotations"][4:]] == ["e", "f"]
    assert dict(ds).keys() == plain.keys()


def test_other_keys_of_a_file_are_kept(plain, tmp_path):
    ds = load(dump({**plain, "meta": {"made by": "us"}}, tmp_path / "data.pkl"))
    assert ds["meta"] == {"made by": "us"}
    save(ds, tmp_path / "copy.pkl")
    assert load(tmp_path / "copy.pkl")["meta"] == {"made by": "us"}


def test_an_unknown_part_lists_the_nearest(ds):
    with pytest.raises(KeyError, match=r"no 'annotation' in this data set \(nearest: annotations"):
        ds["annotation"]


def test_a_clip_is_found_by_its_id(ds, plain):
    assert_same_clip(ds.clip("e"), plain["annotations"][4])


def test_the_first_of_clips_with_the_same_id_is_found(tmp_path):
    ds = load(dump([clip("a", 1), clip("a", 2)], tmp_path / "data.pkl"))
    assert ds.clip("a")["label"] == 1


def test_an_unknown_id_lists_the_nearest(tmp_path):
    ds = load([clip(f"S001C00{n}P001R001A001") for n in range(1, 9)])
    with pytest.raises(KeyError, match=r"'S001C009P001R001A001' \(nearest: S001C008P001R001A001"):
        ds.clip("S001C009P001R001A001")


def test_filename_is_the_id_where_the_first_clip_has_it(tmp_path):
    old = [{"filename": name, "frame_inds": np.array([1])} for name in "ab"]
    ds = load(dump({"split": {"val": ["b"]}, "annotations": old}, tmp_path / "data.pkl"))
    assert [found["filename"] for found in ds.select(split="val")] == ["b"]
    assert ds.clip("a")["filename"] == "a"


# --- selections


def test_a_split_selects_its_clips_in_the_files_order(ds):
    assert [found["frame_dir"] for found in ds.select(split="train")] == ["a", "b", "c", "f"]


@pytest.mark.parametrize(
    ("label", "expected"),
    [(1, "be"), (np.int64(1), "be"), ([0, 2], "acdf"), (np.array([2]), "cf"), (9, "")],
    ids=["int", "numpy int", "list", "array", "absent"],
)
def test_labels_select(ds, label, expected):
    assert "".join(found["frame_dir"] for found in ds.select(label=label)) == expected


def test_selections_add_up(ds):
    assert [found["frame_dir"] for found in ds.select(split="train").select(label=2)[0:1]] == ["c"]
    assert [found["frame_dir"] for found in ds.select(split="train", label=2)] == ["c", "f"]


def test_a_selection_has_the_splits_of_its_own_clips(ds):
    assert ds.select(split="val", label=1)["split"] == {"train": [], "val": ["e"]}


def test_a_selection_is_lazy(ds, monkeypatch):
    monkeypatch.setattr(ArrayHandle, "read", lambda handle: pytest.fail("an array was read"))
    assert len(ds.select(split="train", label=[0, 1])) == 2


def counted(name, valid, total=10, flat=False):
    """A record of an index of Kinetics, with `valid` as now, or as it was once."""
    fields = {f"valid@{score}": count for score, count in valid.items()} if flat else {"valid": valid}
    return {"frame_dir": name, "total_frames": total, "frame_inds": np.array([1], np.int16), **fields}


SETTINGS = [(box_thr, ratio) for box_thr in (0.5, 0.6, 0.7, 0.8, 0.9) for ratio in (0, 0.2, 0.4, 0.46, 0.51, 1)]


@pytest.mark.parametrize(("box_thr", "valid_ratio"), SETTINGS)
def test_valid_selects_as_a_plain_loop_does(box_thr, valid_ratio):
    index = load(sample("k400_hrnet"))
    expected = []
    for record in index:
        if record["valid"][box_thr] / record["total_frames"] >= valid_ratio:
            expected.append(record["frame_dir"])
    kept = index.select(box_thr=box_thr, valid_ratio=valid_ratio)
    assert [record["frame_dir"] for record in kept] == expected
    assert index.valid_table([valid_ratio]).loc[box_thr, valid_ratio] == len(expected)


def test_above_0_51_nothing_is_kept_where_every_other_frame_was_looked_at():
    table = load(sample("k400_hrnet")).valid_table([0.0, 0.51, 0.6, 1.0])
    assert (table.index.name, table.columns.name) == ("box_thr", "valid_ratio")
    assert table[0.0].tolist() == [12] * 5
    assert not table[[0.51, 0.6, 1.0]].to_numpy().any()


def test_every_cell_of_valid_table_is_the_length_of_that_selection():
    train = load(sample("k400_hrnet")).select(split="train")
    for box_thr, row in train.valid_table().iterrows():
        for valid_ratio, count in row.items():
            assert len(train.select(box_thr=box_thr, valid_ratio=valid_ratio)) == count


@pytest.mark.parametrize("flat", [False, True], ids=["dict", "flat"])
@pytest.mark.parametrize("number", [float, np.float32], ids=["float", "float32"])
def test_both_forms_of_valid_select(flat, number):
    clips = [counted("a", {0.5: 4, 0.7: 2}, flat=flat), None, counted("b", {0.5: 3, 0.7: 3}, flat=flat)]
    ds = load(clips)
    assert [clip["frame_dir"] for clip in ds.select(box_thr=number(0.7), valid_ratio=0.3)] == ["b"]
    assert [clip["frame_dir"] for clip in ds.select(box_thr=number(0.5), valid_ratio=0)] == ["a", "b"]
    assert ds.valid_table([0, 0.3, 0.4]).to_numpy().tolist() == [[2, 2, 1], [2, 1, 0]]


@pytest.mark.parametrize("settings", [{"box_thr": 0.7}, {"valid_ratio": 0.3}], ids=str)
def test_one_of_the_two_settings_is_not_enough(settings, ds):
    with pytest.raises(ValueError, match=r"belong together: select\(box_thr=0\.7, valid_ratio=0\.3\)"):
        ds.select(**settings)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (counted("b", {0.5: 4, 0.9: 1}), r"\[1\]\.valid \('b'\): expected one of 0\.5, 0\.9 as box_thr"),
        (counted("b", {}), r"\[1\]\.valid \('b'\): expected it, as in an index of Kinetics; compress"),
        (counted("b", {"high": 1}), r"\[1\]\.valid \('b'\): expected numbers for scores"),
        (counted("b", {0.7: 4}, total=0), r"\[1\]\.valid \('b'\): expected total_frames to divide by, found 0"),
    ],
    ids=["unknown-threshold", "none", "texts", "no-frames"],
)
def test_what_valid_does_not_say_is_refused_with_its_place(record, message):
    ds = load([counted("a", {0.7: 4}), record])
    with pytest.raises(FormatError, match=message):
        ds.select(box_thr=0.7, valid_ratio=0.3)
    with pytest.raises(FormatError, match=r"\.valid \("):
        ds.valid_table()


def test_valid_table_of_what_is_no_index_is_refused(ds):
    with pytest.raises(FormatError, match=r"annotations\[0\]\.valid \('a'\): expected it, as in an index of Kinetics"):
        ds.valid_table()


def test_a_selection_by_valid_pickles_as_a_small_handle():
    kept = load(sample("k400_hrnet")).select(box_thr=0.9, valid_ratio=0.3)[2:]
    data = pickle.dumps(kept)
    assert len(data) < 500
    assert [clip["frame_dir"] for clip in pickle.loads(data)] == [clip["frame_dir"] for clip in kept]


def test_an_unknown_split_lists_the_nearest(ds):
    with pytest.raises(KeyError, match=r"no split 'trian' in this data set \(nearest: train"):
        ds.select(split="trian")


def test_a_data_set_without_splits_says_so():
    with pytest.raises(KeyError, match="it has no splits"):
        load([clip("a")]).select(split="train")


def test_faulty_ids_and_labels_select_nothing(tmp_path):
    odd = [{**clip("a"), "frame_dir": ["a"]}, {**clip("b"), "label": [1]}, {"keypoint": None}]
    ds = load(dump({"split": {"train": ["b", ["a"], None]}, "annotations": odd}, tmp_path / "data.pkl"))
    assert [found["frame_dir"] for found in ds.select(split="train")] == ["b"]
    assert len(ds.select(label=1)) == 0


@pytest.mark.parametrize("number", [int, np.int64], ids=["int", "numpy int"])
def test_numbers_can_be_ids(number, tmp_path):
    value = {"split": {"train": [number(2), number(0)]}, "annotations": [clip(number(n)) for n in range(3)]}
    for ds in (load(value), load(dump(value, tmp_path / "data.pkl"))):
        assert [found["frame_dir"] for found in ds.select(split="train")] == [0, 2]
        assert ds.clip(number(1))["frame_dir"] == 1
        assert dict(ds.describe().rows)["splits"] == "train 2; 1 clip in no split"


def test_an_id_of_another_kind_is_unknown(ds):
    with pytest.raises(KeyError, match=r"no clip has the id \['a'\]"):
        ds.clip(["a"])


# --- names


def test_the_data_sets_name_is_the_users_not_the_files(plain, tmp_path):
    path = dump(plain, tmp_path / "ntu60_hrnet.pkl")
    assert load(path).dataset is None
    assert load(path, "ucf101_hrnet").dataset == "ucf101_hrnet"
    with pytest.raises(KeyError, match=r"'ntu_hrnet' \(nearest: ntu60_hrnet"):
        load(path, "ntu_hrnet")


# --- Python objects


def test_python_objects_are_taken_as_they_are(plain):
    ds = load(plain)
    assert (ds.container, ds.origin, len(ds)) == ("dict", None, 6)
    for found, expected in zip(ds, plain["annotations"], strict=True):
        assert_same_clip(found, expected)


def test_clips_of_other_data_sets_make_a_new_one_without_being_read(ds, monkeypatch):
    monkeypatch.setattr(ArrayHandle, "read", lambda handle: pytest.fail("an array was read"))
    assert repr(load([ds[0], ds[3]])[1]) == repr(ds[3])
    assert "17 joints" in str(load(list(ds)).describe())


def test_a_data_set_is_its_own_loading_and_can_be_named(ds):
    assert load(ds) is ds
    named = load(ds[1:], "ucf101_hrnet")
    assert (named.dataset, len(named), ds.dataset) == ("ucf101_hrnet", 5, None)


def test_arrays_of_python_objects_keep_their_memory_order():
    fortran = np.zeros((1, 2, 17, 2), order="F")
    assert load([clip("a") | {"keypoint": fortran}])[0]["keypoint"].flags.f_contiguous


# --- saving


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", ["dict", "list", "annotation", "kpfile of many", "index"])
def test_what_is_saved_is_what_was_loaded(name, protocol, tmp_path):
    value = CONTAINERS[name][0]
    save(load(dump(value, tmp_path / "data.pkl")), tmp_path / "copy.pkl", protocol=protocol)
    found = pickle.loads((tmp_path / "copy.pkl").read_bytes())
    assert_equal(found, value)


def assert_equal(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_equal(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    else:
        np.testing.assert_array_equal(found, expected, strict=isinstance(expected, np.ndarray))


def test_python_objects_are_saved_as_the_form_they_have(plain, tmp_path):
    for value in (plain, plain["annotations"], plain["annotations"][0]):
        save(value, tmp_path / "data.pkl", overwrite=True)
        assert_equal(pickle.loads((tmp_path / "data.pkl").read_bytes()), value)


def test_a_clip_and_a_selection_can_be_saved(ds, plain, tmp_path):
    save(ds[2], tmp_path / "clip.pkl")
    assert_equal(pickle.loads((tmp_path / "clip.pkl").read_bytes()), plain["annotations"][2])
    save(ds.select(split="val"), tmp_path / "val.pkl")
    found = pickle.loads((tmp_path / "val.pkl").read_bytes())
    assert found["split"] == {"train": [], "val": ["d", "e"]}
    assert_equal(found["annotations"], plain["annotations"][3:5])


def test_saving_over_the_file_that_is_read_is_safe(file, plain):
    ds = load(file)
    save(ds, file, overwrite=True)
    assert_equal(pickle.loads(file.read_bytes()), plain)
    with pytest.raises(FormatError, match=r"changed on disk after it was opened.*Load it again"):
        ds[0]["keypoint"]


def test_a_path_in_the_place_of_a_data_set_is_told_the_right_way(file, tmp_path):
    with pytest.raises(FormatError, match=r"save\(load\("):
        save(str(file), tmp_path / "copy.pkl")


def test_a_fault_while_saving_names_its_place(tmp_path):
    with pytest.raises(FormatError, match=r"annotations\[1\]\.extra: found builtins\.set"):
        save({"split": {}, "annotations": [clip("a"), {**clip("b"), "extra": {1}}]}, tmp_path / "data.pkl")


# --- other processes


def test_a_data_set_pickles_as_a_small_handle(ds, plain):
    view = ds.select(split="train", label=[0, 2])[1:]
    data = pickle.dumps(view)
    assert len(data) < 500
    again = pickle.loads(data)
    assert [found["frame_dir"] for found in again] == ["c", "f"]
    assert_same_clip(again[0], plain["annotations"][2])


def test_a_folder_pickles_as_a_small_handle(tmp_path):
    for number in range(20):
        dump(clip(str(number)), tmp_path / f"{number}.pkl")
    ds = load(tmp_path)
    data = pickle.dumps(ds)
    assert len(data) < 500
    assert len(pickle.loads(data)) == 20
    dump(clip("another"), tmp_path / "another.pkl")
    with pytest.raises(FormatError, match="changed on disk after the data set was opened"):
        pickle.loads(data)


def test_python_objects_pickle_with_their_clips(plain):
    again = pickle.loads(pickle.dumps(load(plain).select(split="val")))
    assert again["split"] == {"train": [], "val": ["d", "e"]}
    assert_same_clip(again[1], plain["annotations"][4])
    assert isinstance(pickle.loads(pickle.dumps(load(plain)[0])), Annotation)


def total(ds):
    return float(sum(found["keypoint"].astype(np.float32).sum() for found in ds))


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_worker_processes_read_the_same(ds, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        halves = list(pool.map(total, [ds[:3], ds[3:]]))
    assert sum(halves) == pytest.approx(total(ds))
