import contextlib
import gc
import multiprocessing
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from pymemcache.client.base import Client
from pymemcache.serde import pickle_serde

from pysklnb import FormatError, KpfileStore, UnsafePickleError, compress, decompress, load, sample, validate
from pysklnb.kpfiles import write_kpfiles
from pysklnb.sources import ArrayHandle

# ---------------------------------------------------------------------------------------------------------------
# Two kpfiles: a and b are in 0.pkl, c is in 1.pkl


def skeletons(name, people=4):
    """Skeletons [N, V, 3] that nobody takes for those of another clip: x is the number of the first letter."""
    keypoint = np.full((people, 17, 3), 0.5, np.float16)
    keypoint[..., 0] = ord(name[-1])
    return keypoint


def record(name, raw_file=None):
    fields = {"frame_dir": name, "label": 0, "total_frames": 4, "frame_inds": np.array([1, 1, 3, 3], np.int16)}
    return fields if raw_file is None else {**fields, "raw_file": f"/data/somebody/kpfiles/{raw_file}"}


INDEX = [record("a", "0.pkl"), record("b", "0.pkl"), record("c", "1.pkl")]


def kpfile(*names):
    return {name: {"keypoint": skeletons(name)} for name in names}


def dump(value, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, 4))
    return path


@pytest.fixture
def root(tmp_path):
    dump(kpfile("a", "b"), tmp_path / "kpfiles" / "0.pkl")
    dump(kpfile("c"), tmp_path / "kpfiles" / "1.pkl")
    return tmp_path / "kpfiles"


def assert_right(store, *names):
    for name in names or "abc":
        np.testing.assert_array_equal(store[name], skeletons(name), strict=True)


class Planted:
    """What somebody plants in a pickle: to unpickle it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def reads(monkeypatch):
    """The shape of each array that is read from a file."""
    found, read = [], ArrayHandle.read
    monkeypatch.setattr(ArrayHandle, "read", lambda handle: found.append(handle.shape) or read(handle))
    return found


@pytest.fixture
def bars(monkeypatch):
    """What progress bars are shown for."""
    found = []
    monkeypatch.setattr("tqdm.auto.tqdm", lambda items, **options: found.append((len(items), options)) or items)
    return found


# --- where a clip is


def test_a_clip_is_had_by_its_annotation_or_its_id(root):
    store = KpfileStore(root, INDEX)
    np.testing.assert_array_equal(store[INDEX[2]], store["c"], strict=True)
    assert_right(store)


def test_an_annotation_needs_no_index(root):
    np.testing.assert_array_equal(KpfileStore(root)[INDEX[1]], skeletons("b"), strict=True)
    np.testing.assert_array_equal(KpfileStore(root)[load(INDEX)[1]], skeletons("b"), strict=True)
    np.testing.assert_array_equal(KpfileStore(root)[record("b") | {"raw_file": ""}], skeletons("b"), strict=True)


def test_the_miniatures_are_found():
    index = load(sample("k400_hrnet"))
    store = KpfileStore(sample("k400_kpfiles"), index)
    assert [len(store[clip]) for clip in index] == [len(clip["frame_inds"]) for clip in index]


SCHEMES = {
    "PYSKL, a dict": {"0.pkl": kpfile("a", "b"), "1.pkl": kpfile("c")},
    "PYSKL, a list": {"0.pkl": [{"frame_dir": name, "keypoint": skeletons(name)} for name in "abc"]},
    "PYSKL, whole annotations": {"0.pkl": [{**record(name), "keypoint": skeletons(name)} for name in "abc"]},
    "MMAction2, a file each": {f"{name}.pkl": {"keypoint": skeletons(name)} for name in "abc"},
    "in folders below": {"x/0.pkl": kpfile("a"), "x/y/1.pkl": kpfile("b"), "z.pickle": kpfile("c")},
}


@pytest.mark.parametrize("files", SCHEMES.values(), ids=SCHEMES.keys())
@pytest.mark.parametrize("index", [None, [record(name) for name in "abc"]], ids=["no-index", "index"])
def test_both_schemes_are_known_without_a_raw_file(files, index, tmp_path):
    for name, value in files.items():
        dump(value, tmp_path / name)
    assert_right(KpfileStore(tmp_path, index))


def test_the_file_of_another_folders_clip_is_not_taken(tmp_path):
    dump({"keypoint": skeletons("a")}, tmp_path / "a.pkl")
    assert "x/a" not in KpfileStore(tmp_path)


def test_a_single_kpfile_can_be_the_root(root):
    assert_right(KpfileStore(root / "0.pkl"), "a", "b")
    assert_right(KpfileStore(root / "0.pkl", INDEX), "a", "b")


@pytest.mark.parametrize(
    "names", [("x/a", "y/a"), ("Abc", "aBC"), ("v_Jump_g01_c01.mp4", "v_Jump_g01_c02.mp4")], ids=str
)
def test_ids_with_folders_or_that_differ_by_case_are_kept_apart(names, tmp_path):
    for number, name in enumerate(names):
        dump({"keypoint": skeletons(str(number))}, tmp_path / "each" / f"{name}.pkl")
    dump({name: {"keypoint": skeletons(str(number))} for number, name in enumerate(names)}, tmp_path / "many" / "0.pkl")
    for folder in ("each", "many"):
        store = KpfileStore(tmp_path / folder)
        for number, name in enumerate(names):
            np.testing.assert_array_equal(store[name], skeletons(str(number)))


WINDOWS = "D:\\data\\kpfiles\\0.pkl"


@pytest.mark.parametrize(
    ("raw_file", "folder"),
    [(path, ".") for path in ("/data/kpfiles/0.pkl", "kpfiles/0.pkl", "0.pkl", "./0.pkl", WINDOWS)]
    + [(path, "..") for path in ("/data/kpfiles/0.pkl", "kpfiles/0.pkl", WINDOWS)],
)
def test_raw_file_is_found_by_its_last_parts(raw_file, folder, root):
    np.testing.assert_array_equal(KpfileStore(root / folder)[{"frame_dir": "a", "raw_file": raw_file}], skeletons("a"))


def test_as_many_parts_of_raw_file_as_lead_to_a_file_are_used(tmp_path):
    dump({"a": {"keypoint": skeletons("1")}}, tmp_path / "train" / "0.pkl")
    dump({"a": {"keypoint": skeletons("2")}}, tmp_path / "0.pkl")
    store = KpfileStore(tmp_path)
    np.testing.assert_array_equal(store[{"frame_dir": "a", "raw_file": "/x/train/0.pkl"}], skeletons("1"))
    np.testing.assert_array_equal(store[{"frame_dir": "a", "raw_file": "/x/val/0.pkl"}], skeletons("2"))


def test_without_raw_file_the_ids_of_all_kpfiles_are_read_once_with_a_bar(root, bars, reads, monkeypatch):
    opened = []
    monkeypatch.setattr("pysklnb.kpfiles.load", lambda path: opened.append(path) or load(path))
    store = KpfileStore(root)
    assert sorted(store) == list("abc")
    assert reads == []
    assert_right(store)
    assert "d" not in store
    assert bars == [(2, {"desc": "kpfiles", "delay": 2, "leave": False})]
    assert len(opened) == 4  # once for the ids, once for the clips


def test_a_file_named_as_the_clip_needs_no_search(tmp_path, bars):
    dump({"keypoint": skeletons("a")}, tmp_path / "a.pkl")
    assert_right(KpfileStore(tmp_path), "a")
    assert bars == []


def test_an_index_beside_the_kpfiles_is_none(root):
    dump([record(name) for name in "abc"], root.parent / "index.pkl")
    (root / "._0.pkl").write_bytes(b"what some systems leave beside a file")
    assert_right(KpfileStore(root.parent))
    assert sorted(KpfileStore(root.parent)) == list("abc")


def test_a_stray_pickle_is_passed_over_with_a_warning(root):
    dump((["a"], [0]), root / "names.pkl")
    store = KpfileStore(root)
    with pytest.warns(UserWarning, match=r"no kpfile, and passed over: .*names\.pkl holds a tuple") as caught:
        assert_right(store)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_kpfile_is_found_in_another_folder_by_its_name_if_that_is_the_only_one(root):
    root.rename(root.parent / "mine")
    assert_right(KpfileStore(root.parent, INDEX))
    dump(kpfile("c"), root.parent / "copy" / "1.pkl")
    assert KpfileStore(root.parent, INDEX).missing() == ["c"]


def test_the_older_key_filename_is_an_id(root):
    index = [{"filename" if key == "frame_dir" else key: value for key, value in clip.items()} for clip in INDEX]
    store = KpfileStore(root, index)
    np.testing.assert_array_equal(store[index[1]], skeletons("b"))
    assert_right(store)


# --- what is given


def test_arrays_are_fresh_and_writable(root):
    store = KpfileStore(root, INDEX)
    store["a"][:] = -1
    assert_right(store)


def test_a_clip_is_read_without_the_rest_and_the_second_time_not_at_all(root, reads):
    store = KpfileStore(root, INDEX)
    assert_right(store, "a", "a")
    np.testing.assert_array_equal(store[INDEX[0]], skeletons("a"))
    assert reads == [(4, 17, 3)]


def test_the_clips_in_memory_are_bounded(root, reads, monkeypatch):
    monkeypatch.setattr("pysklnb.kpfiles._MOST_KEPT", 2)
    store = KpfileStore(root, INDEX)
    assert_right(store, *"abcca")
    assert len(reads) == 4  # a was let go of


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system does not list open files in /proc")
def test_the_open_kpfiles_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("pysklnb.kpfiles._MOST_OPEN", 4)
    names = [f"{number:02}" for number in range(50)]
    for name in names:
        dump(kpfile(name), tmp_path / f"kp{name}.pkl")
    store = KpfileStore(tmp_path)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    assert_right(store, *names)
    assert store.missing([record(name, f"kp{name}.pkl") for name in names]) == []
    assert len(os.listdir("/proc/self/fd")) - before == 4


def test_a_store_is_a_mapping_of_the_ids_of_its_index(root):
    dump(kpfile("d"), root / "2.pkl")
    store = KpfileStore(root, [*INDEX, None, record("z", "1.pkl")])
    assert list(store) == list(dict(store)) == ["a", "b", "c"]  # and not z, which cannot be had
    assert len(store) == 3
    assert "a" in store
    assert INDEX[0] in store
    assert "z" not in store
    assert 3 not in store
    assert dict(KpfileStore(root, INDEX)).keys() == {"a", "b", "c"}
    assert repr(store) == "<KpfileStore of kpfiles, 5 clips>"


# --- what is not there, or is none


def test_an_id_that_the_index_does_not_have_is_told_with_the_nearest(root):
    index = [record("wave_01", "0.pkl"), record("wave_02", "0.pkl")]
    with pytest.raises(KeyError, match=r"no clip has the id 'wave_03' .*nearest: wave_0"):
        KpfileStore(root, index)["wave_03"]


def test_a_clip_without_an_id_is_passed_over(root):
    assert KpfileStore(root, [*INDEX, {"label": 3, "frame_dir": 7}]).missing() == []


def test_missing_lists_the_clips_that_cannot_be_had(root, bars, reads):
    index = [*INDEX, None, record("d", "1.pkl"), record("e", "9.pkl"), record("f", "../0.pkl")]
    assert KpfileStore(root, index).missing() == ["d", "e", "f"]
    assert KpfileStore(root, INDEX).missing(index) == ["d", "e", "f"]
    assert KpfileStore(root, INDEX).missing() == []
    assert reads == []
    assert bars[0] == (6, {"desc": "clips", "delay": 2, "leave": False})


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (record("a", "9.pkl"), r"the skeletons of 'a': /data/somebody/kpfiles/9\.pkl is not under .*Unpack the kpf"),
        (record("z", "1.pkl"), r"the skeletons of 'z': .*kpfiles/1\.pkl has 1 clips, and this is not one of them"),
        ("z", "the skeletons of 'z': no kpfile under .*kpfiles has it. Unpack the kpfiles there, or name another"),
        ({"label": 3}, "the annotation has no id: found None"),
        (3, "3: expected an annotation or its id"),
    ],
    ids=["no-file", "no-key", "nowhere", "no-id", "no-annotation"],
)
def test_a_clip_that_is_not_there_is_a_key_error_that_says_what_to_do(clip, message, root):
    with pytest.raises(KeyError, match=message):
        KpfileStore(root)[clip]


@pytest.mark.parametrize("shape", [(1, 4, 17, 2), (4, 17, 2)], ids=str)
def test_what_is_no_compressed_clip_is_refused_with_file_and_clip(shape, tmp_path):
    dump({"a": {"keypoint": np.zeros(shape)}}, tmp_path / "0.pkl")
    message = rf"0\.pkl: keypoint of 'a': found shape \({shape[0]}, .*expected \[N, V, 3\]: x, y, score"
    with pytest.raises(FormatError, match=message):
        KpfileStore(tmp_path)["a"]


def test_without_the_folder_nothing_begins(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: there is no such folder\. Name the one that has the kpf"):
        KpfileStore(tmp_path / "nowhere")


def test_missing_and_warm_need_clips_and_warm_a_server(root):
    with pytest.raises(ValueError, match=r"of which clips\? Name them: store\.missing\(dataset\)"):
        KpfileStore(root).missing()
    with pytest.raises(ValueError, match=r"of which server\? Name it: .*memcached="):
        KpfileStore(root, INDEX).warm()


# --- what is not trusted


@pytest.mark.parametrize("clip", [record("a", "../../out.pkl"), record("a", "..\\out.pkl"), "../out", "x/../../out"])
def test_what_points_out_of_the_folder_is_refused(clip, root, tmp_path):
    dump({"keypoint": skeletons("a")}, tmp_path / "out.pkl")
    with pytest.raises(FormatError, match=r"points out of .*kpfiles\. It is not followed"):
        KpfileStore(root)[clip]


def test_a_kpfile_elsewhere_is_never_opened_even_if_raw_file_names_it(root, tmp_path):
    elsewhere = dump(kpfile("z"), tmp_path / "elsewhere" / "9.pkl")
    clips = [{"frame_dir": "z", "raw_file": str(elsewhere)}, str(elsewhere.with_suffix(""))]
    for clip in clips:
        with pytest.raises(KeyError, match=r"elsewhere/9"):
            KpfileStore(root)[clip]
    dump({"z": {"keypoint": skeletons("inside")}}, root / "9.pkl")
    np.testing.assert_array_equal(KpfileStore(root)[clips[0]], skeletons("inside"))


def test_a_planted_kpfile_is_refused_and_leaves_no_trace(root, tmp_path):
    dump({"a": {"keypoint": Planted(tmp_path / "trace")}}, root / "0.pkl")
    with pytest.raises(UnsafePickleError, match=r"0\.pkl"):
        KpfileStore(root, INDEX)["a"]
    assert KpfileStore(root, INDEX).missing() == ["a", "b"]
    with pytest.warns(UserWarning, match="passed over") as caught:
        assert list(KpfileStore(root)) == ["c"]
    assert len(caught) == 1
    assert not (tmp_path / "trace").exists()


# --- other processes


def test_a_store_pickles_as_a_small_handle(root, tmp_path, reads):
    index = load(dump([*INDEX, *(record(str(number)) for number in range(1000))], tmp_path / "index.pkl"))
    store = KpfileStore(root, index[:3])
    assert_right(store)
    data = pickle.dumps(store)
    assert len(data) < 2000
    assert_right(pickle.loads(data))
    assert len(pickle.loads(data)) == 3


def test_a_new_python_reads_the_same(root, tmp_path):
    store = KpfileStore(root, load(dump(INDEX, tmp_path / "index.pkl")))
    (tmp_path / "store.pkl").write_bytes(pickle.dumps(store))
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))['c'][0, 0, 0])"
    command = [sys.executable, "-c", code, str(tmp_path / "store.pkl")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{ord('c'):.1f}\n"


def here_and_in_a_fork(function):
    """Call it in a forked process and meanwhile in this one, and return what both give."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system has no fork")
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(function()))
    process.start()
    sender.close()
    here = function()
    with receiver:
        there = receiver.recv()
    process.join()
    return here, there


def first_numbers(store, names):
    return [chr(int(store[name][0, 0, 0])) for name in names]


def test_a_forked_process_reads_the_same(root):
    store = KpfileStore(root, INDEX)
    assert_right(store, "a")
    assert here_and_in_a_fork(lambda: first_numbers(store, "abc")) == (["a", "b", "c"],) * 2


# --- the validator


def test_the_miniatures_validate_with_their_store():
    index = load(sample("k400_hrnet"))
    found = validate(index, store=KpfileStore(sample("k400_kpfiles"), index)).findings
    assert [str(finding) for finding in found if finding.severity != "note"] == []


def test_the_validator_finds_clips_without_skeletons_and_lengths_that_differ(root):
    dump({"a": {"keypoint": skeletons("a", people=3)}}, root / "0.pkl")
    found = validate(INDEX, store=KpfileStore(root, INDEX)).findings
    codes = {(finding.code, finding.frame_dir) for finding in found}
    assert {("lengths-differ", "a"), ("kpfile-missing", "b")} <= codes
    assert not {("lengths-differ", "c"), ("kpfile-missing", "c")} & codes


# ---------------------------------------------------------------------------------------------------------------
# memcached, a real one


@pytest.fixture
def start():
    """Start a server on a free port: ``start("-I", "1m")``. All are stopped in the end."""
    program = shutil.which("memcached")
    if program is None:
        reason = "there is no program memcached: apt-get install memcached"
        pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)
    running = []

    def start(*options, path=None):
        address = path or ("127.0.0.1", free_port())
        place = ["-s", path] if path else ["-l", address[0], "-p", str(address[1]), "-U", "0"]
        user = ["-u", "root"] if os.geteuid() == 0 else []
        process = subprocess.Popen([program, *user, *place, "-m", "64", *options], stderr=subprocess.DEVNULL)
        running.append(process)
        for _ in range(200):
            with contextlib.suppress(OSError), contextlib.closing(Client(address)) as client:
                client.version()
                return SimpleNamespace(address=address, stop=lambda: stop(process))
            time.sleep(0.02)
        raise TimeoutError(f"memcached did not start at {address}")

    yield start
    for process in running:
        stop(process)


def stop(process):
    process.kill()
    process.wait()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def server(start):
    return start()


@pytest.fixture
def pyskl(server):
    """The client that PYSKL uses."""
    client = Client(server.address, serde=pickle_serde, default_noreply=False)
    yield client
    client.close()


@pytest.fixture
def store(root, server, forgetful):
    return KpfileStore(root, INDEX, memcached=server.address)


@pytest.fixture
def forgetful(monkeypatch):
    """Stores keep no clip in memory, so that the server is asked each time."""
    monkeypatch.setattr("pysklnb.kpfiles._MOST_KEPT", 0)


def assert_one_warning(message, function):
    with pytest.warns(UserWarning, match=message) as caught:
        function()
    assert [warning.filename for warning in caught] == [__file__]


def test_the_server_is_looked_up_first(store, pyskl, reads):
    pyskl.set("a", {"keypoint": skeletons("x")})
    np.testing.assert_array_equal(store["a"], skeletons("x"), strict=True)
    assert_right(store, "b")


def test_a_miss_is_read_from_the_kpfile_and_set(store, root, server):
    assert_right(store)
    for path in root.iterdir():
        path.unlink()
    assert_right(KpfileStore(root, INDEX, memcached=server.address))


def test_pyskl_reads_what_was_set(store, server, pyskl):
    assert_right(store)
    found = pyskl.get("a")
    assert list(found) == ["keypoint"]
    np.testing.assert_array_equal(found["keypoint"], skeletons("a"), strict=True)
    plain = Client(server.address, serde=SimpleNamespace(deserialize=lambda key, value, flags: (value, flags)))
    value, flags = plain.get("a")
    plain.close()
    assert flags == 1
    assert b"numpy.core" in value
    assert b"numpy._core" not in value


@pytest.mark.parametrize(
    "value",
    [
        {"keypoint": skeletons("x")},
        {**INDEX[0], "keypoint": skeletons("x")},
        {**record("a"), "keypoint": skeletons("x")},
        {"frame_dir": "a", "keypoint": skeletons("x").astype(np.float32)},
    ],
    ids=["kpfile", "annotation", "annotation-without-raw_file", "item-of-a-list"],
)
def test_what_pyskl_set_is_read(value, store, pyskl):
    pyskl.set("a", value)
    np.testing.assert_array_equal(store["a"], value["keypoint"], strict=True)


def test_what_is_planted_leaves_no_trace(store, pyskl, tmp_path):
    pyskl.set("a", {"keypoint": skeletons("a"), "label": Planted(tmp_path / "trace")})
    assert_one_warning("something else under 'a', which was not used", lambda: assert_right(store))
    assert not (tmp_path / "trace").exists()
    pyskl.get("a")  # it would have
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "value",
    [
        "text",
        3,
        b"\x80\x04",
        [1, 2],
        {"keypoint": 3},
        {"keypoint": np.zeros((1, 2, 17, 2))},
        {"frame_dir": "b", "keypoint": skeletons("b")},
    ],
    ids=["text", "int", "bytes", "list", "no-array", "normal-form", "another-clip"],
)
def test_a_value_that_is_not_ours_is_not_used_and_not_overwritten(value, store, pyskl):
    pyskl.set("a", value)
    assert_one_warning("something else under 'a'.*read from the kpfiles", lambda: assert_right(store))
    assert_right(store, "a")
    np.testing.assert_equal(pyskl.get("a"), value)


def test_a_value_that_is_not_marked_as_pickled_is_not_used(store, pyskl):
    pyskl.set("a", pickle.dumps({"keypoint": skeletons("x")}))  # bytes: flags 0
    assert_one_warning("found flags 0, expected 1", lambda: assert_right(store))


def test_an_item_over_the_limit_costs_a_warning_and_others_are_still_cached(root, start, forgetful, reads):
    dump({"a": {"keypoint": skeletons("a", 20_000)}, "b": {"keypoint": skeletons("b", 20_000)}}, root / "0.pkl")
    store = KpfileStore(root, INDEX, memcached=start("-I", "1m").address)

    def work():
        assert [len(store[name]) for name in "abcabc"] == [20_000, 20_000, 4] * 2

    assert_one_warning(r"it refused \(.*too large.*\)\. 'a' has 2,040,\d\d\d bytes; start it with -I 8m", work)
    assert reads.count((20_000, 17, 3)) == 4
    assert store.warm() == 1


@pytest.mark.parametrize("name", ["a" * 251, "x y/a", "Größe/a"], ids=["long", "space", "non-ascii"])
def test_a_key_that_no_server_takes_costs_a_warning(name, tmp_path, server, forgetful):
    dump(kpfile(name, "b"), tmp_path / "0.pkl")
    store = KpfileStore(tmp_path / "0.pkl", memcached=server.address)
    message = f"it takes no such key as '{name[:20]}.*: up to 250 ASCII characters, without spaces"
    assert_one_warning(message, lambda: assert_right(store, name, "b", name))


def test_a_server_that_is_absent_costs_a_warning(root, forgetful):
    store = KpfileStore(root, INDEX, memcached=("127.0.0.1", free_port()))
    message = r"memcached at \('127.0.0.1', \d+\): it does not answer .*read from the kpfiles"
    assert_one_warning(message, lambda: assert_right(store, *"abcabc"))


def test_a_server_that_dies_costs_a_warning_and_is_not_asked_again(store, server):
    assert_right(store)
    server.stop()
    assert_one_warning("does not answer .*and is not asked again", lambda: assert_right(store, *"abcabc"))
    with socket.create_server(server.address) as another:
        another.settimeout(0.1)
        assert_right(store)
        with pytest.raises(TimeoutError):
            another.accept()


def test_a_server_that_never_answers_costs_a_warning_and_little_time(root, forgetful, monkeypatch):
    monkeypatch.setattr("pysklnb.kpfiles._PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = KpfileStore(root, INDEX, memcached=silent.getsockname())
        begin = time.monotonic()
        assert_one_warning(r"does not answer \(timed out\)", lambda: assert_right(store, *"abcabc"))
    assert time.monotonic() - begin < 2


def test_a_server_whose_answer_has_no_end_costs_a_warning_and_little_time(root, forgetful, monkeypatch):
    monkeypatch.setattr("pysklnb.kpfiles._PATIENCE", 0.2)

    def answer_for_ever():
        with listening.accept()[0] as connection, contextlib.suppress(OSError):
            connection.recv(999)
            while True:
                connection.sendall(b"VALUE a 1 3\r\nabc\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        pool.submit(answer_for_ever)
        store = KpfileStore(root, INDEX, memcached=listening.getsockname())
        assert_one_warning(r"does not answer \(its reply has no end\)", lambda: assert_right(store, *"abcabc"))


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"VALUE\r\n", b"VALUE x 1 2\r\nab\r\nEND\r\n", b"VALUE a b c\r\n"]
)
def test_what_is_no_memcached_costs_a_warning(answer, root, forgetful):
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(1) as pool:
        store = KpfileStore(root, INDEX, memcached=other.getsockname())

        def once():
            connection, _ = other.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        pool.submit(once)
        assert_one_warning("it answers as no memcached does .*not asked again", lambda: assert_right(store, *"abcabc"))
        other.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.accept()


def test_a_path_of_a_socket_is_a_server(root, start, tmp_path, forgetful):
    server = start("-a", "0600", path=str(tmp_path / "socket"))
    store = KpfileStore(root, INDEX, memcached=server.address)
    assert store.warm() == 3
    assert_right(store)


def test_warm_fills_the_server_with_a_bar_and_counts(store, pyskl, bars):
    pyskl.set("a", {"keypoint": skeletons("x")})
    assert store.warm() == 3
    assert bars == [(3, {"desc": "clips", "delay": 2, "leave": False})]
    assert pyskl.get("a")["keypoint"][0, 0, 0] == ord("x")  # it was left
    assert pyskl.get("c")["keypoint"][0, 0, 0] == ord("c")


def test_warm_takes_a_part_and_leaves_out_what_is_missing(store, pyskl):
    assert store.warm([INDEX[0], None, record("z", "1.pkl")]) == 1
    assert sorted(pyskl.get_many(["a", "b", "z"])) == ["a"]


def test_warm_stops_when_the_server_is_lost(store, server, reads):
    server.stop()
    assert_one_warning("is not asked again", store.warm)
    assert len(reads) == 1


@pytest.mark.parametrize("has_died", [False, True], ids=["alive", "dead"])
def test_threads_share_a_store(store, server, has_died):
    assert_right(store, "a")

    def work():
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda name: first_numbers(store, name), "abc" * 100)) == [["a"], ["b"], ["c"]] * 100

    work()
    if has_died:
        server.stop()
        assert_one_warning("is not asked again", work)


def test_a_forked_process_shares_a_store(store):
    assert_right(store)
    names = "abc" * 300
    assert here_and_in_a_fork(lambda: "".join(first_numbers(store, names))) == (names, names)


def test_a_store_with_a_server_pickles_with_its_address(store, server, pyskl):
    pyskl.set("a", {"keypoint": skeletons("x")})
    again = pickle.loads(pickle.dumps(store))
    assert again.memcached == server.address
    assert repr(again).endswith(", cached>")
    np.testing.assert_array_equal(again["a"], skeletons("x"))


def test_a_store_that_nobody_has_any_more_leaves_no_connection(root, server, forgetful):
    store = KpfileStore(root, INDEX, memcached=server.address)
    assert_right(store)
    [connection] = store._cache._client.client_pool.free
    assert connection.sock is not None
    del store
    gc.collect()  # a connection that is left open warns here, and pytest makes an error of it
    assert connection.sock is None


def test_a_server_that_is_back_is_asked_again_by_warm(root, server):
    store = KpfileStore(root, INDEX, memcached=server.address)
    store._cache.is_lost = True  # as after a failure
    assert store.warm() == 3


def test_a_value_of_another_length_than_the_annotation_says_is_not_used(root, server):
    client = Client(server.address, serde=pickle_serde, default_noreply=False)
    with contextlib.closing(client):
        client.set("a", {"keypoint": skeletons("z", people=77)})
    store = KpfileStore(root, INDEX, memcached=server.address)
    assert_one_warning("found 77 skeletons, expected 4, as frame_inds has it", lambda: assert_right(store))


def test_what_is_not_ours_does_not_count_as_warmed(root, server):
    with contextlib.closing(Client(server.address, serde=pickle_serde, default_noreply=False)) as client:
        client.set("a", "junk")
    store = KpfileStore(root, INDEX, memcached=server.address)
    assert_one_warning("something else under 'a'", lambda: store.warm() == 2 or pytest.fail("it was counted"))


def test_an_address_without_a_port_is_refused(root):
    with pytest.raises(ValueError, match=r"memcached: found \('localhost',\), expected \(host, port\)"):
        KpfileStore(root, memcached=("localhost",))


def test_without_the_client_it_is_told_what_to_install(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymemcache.client", None)
    with pytest.raises(ImportError, match="needs a package: pip install pymemcache"):
        KpfileStore(root, memcached=("localhost", 22077))


# ---------------------------------------------------------------------------------------------------------------
# Writing


def normal_clip(name, M=2, T=5):
    rng = np.random.default_rng(len(name) * 100 + T)
    keypoint = rng.uniform(1, 300, (M, T, 17, 2)).astype(np.float16)
    return {
        "frame_dir": name,
        "label": 3,
        "img_shape": (256, 340),
        "total_frames": T,
        "keypoint": keypoint,
        "keypoint_score": rng.uniform(0.1, 1, (M, T, 17)).astype(np.float16),
    }


def written(dataset, folder, **options):
    index = load(write_kpfiles(dataset, folder, **options))
    return index, KpfileStore(folder, index)


def assert_same_clip(found, expected):
    for key in ("keypoint", "keypoint_score", "frame_numbers", "total_frames", "label"):
        np.testing.assert_array_equal(found[key], expected[key], strict=True)


@pytest.mark.filterwarnings("ignore:clip '.*'. no skeleton is left")
@pytest.mark.parametrize("squeeze", [True, False], ids=["squeezed", "whole"])
@pytest.mark.parametrize("name", ["ucf101_hrnet", "ntu60_hrnet"])
def test_what_was_written_gives_the_clips_back(name, squeeze, tmp_path):
    ds = load(sample(name))
    index, store = written(ds, tmp_path / "new", clips_per_file=7)
    assert len(index) == len(ds)
    for clip, entry in zip(ds, index, strict=True):
        expected = decompress(compress(clip), squeeze=squeeze)
        assert_same_clip(decompress(entry, store[entry], squeeze=squeeze), expected)
    assert index["split"] == ds["split"]
    assert store.missing() == []


def test_what_was_written_has_no_fault(tmp_path):
    index, store = written(load(sample("ntu60_hrnet")), tmp_path / "new")
    found = validate(index, store=store).findings
    assert [str(finding) for finding in found if finding.severity != "note"] == []


def test_an_index_and_kpfiles_are_written_that_plain_pickle_opens(tmp_path):
    clips = [normal_clip(name) for name in ("a", "x/b", "c")]
    path = write_kpfiles(clips, tmp_path / "new", clips_per_file=2)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.pkl"))
    assert files == ["new/index.pkl", "new/kpfiles/0.pkl", "new/kpfiles/1.pkl"]
    index = pickle.loads(path.read_bytes())["annotations"]
    assert [clip["raw_file"] for clip in index] == ["kpfiles/0.pkl", "kpfiles/0.pkl", "kpfiles/1.pkl"]
    for clip, source in zip(index, clips, strict=True):
        kpfile = pickle.loads((path.parent / clip["raw_file"]).read_bytes())  # as PYSKL does
        np.testing.assert_array_equal(kpfile[clip["frame_dir"]]["keypoint"], compress(source)["keypoint"])
        assert "keypoint" not in clip
        assert "keypoint_score" not in clip
        assert clip["frame_inds"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_splits_and_other_keys_are_kept_and_none_stays_none(tmp_path):
    data = {
        "split": {"train": ["a"], "val": ["b"]},
        "annotations": [{**normal_clip("a"), "note": [1]}, None, normal_clip("b")],
        "license": "mine",
    }
    index, store = written(data, tmp_path / "new", clips_per_file=2)
    assert (index["split"], index["license"]) == (data["split"], "mine")
    assert [clip and clip["frame_dir"] for clip in index] == ["a", None, "b"]
    assert (index[0]["note"], index[0]["img_shape"]) == ([1], (256, 340))
    assert sorted(store) == ["a", "b"]
    assert len(store["b"]) == 10


@pytest.mark.parametrize("squeeze", [True, False], ids=["squeezed", "whole"])
def test_compressed_clips_that_count_from_0_count_from_1_then(squeeze, tmp_path):
    clip = {**record("a"), "total_frames": 6, "frame_inds": np.array([0, 2, 2, 5], np.int16)}
    clip["keypoint"] = skeletons("a")
    index, store = written([clip], tmp_path / "new")
    assert index[0]["frame_inds"].tolist() == [1, 3, 3, 6]
    assert index[0]["frame_inds"].dtype == np.int16
    found = decompress(index[0], store[index[0]], squeeze=squeeze)
    assert_same_clip(found, decompress(clip, squeeze=squeeze))


def test_compressed_clips_that_count_from_1_stay_as_they_are(tmp_path):
    source = load(sample("k400_hrnet"))
    kpfiles = KpfileStore(sample("k400_kpfiles"), source)
    index, store = written([{**clip, "keypoint": kpfiles[clip]} for clip in source], tmp_path / "new")
    for clip, found in zip(source, index, strict=True):
        np.testing.assert_array_equal(store[found], kpfiles[clip], strict=True)
        for key in clip.keys() - {"raw_file"}:
            np.testing.assert_array_equal(found[key], clip[key])


@pytest.mark.parametrize(("total", "dtype"), [(32_767, np.int16), (32_768, np.int32)])
def test_a_video_of_many_frames_has_wider_numbers(total, dtype, tmp_path):
    clip = {**record("a"), "total_frames": total, "frame_inds": [0, 1, 1, total - 1], "keypoint": skeletons("a")}
    index, store = written([clip], tmp_path / "new")
    assert index[0]["frame_inds"].dtype == dtype
    assert decompress(index[0], store["a"])["frame_numbers"].tolist() == [0, 1, total - 1]


def test_the_folder_above_has_to_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: there is no such folder\. Make it first"):
        write_kpfiles([normal_clip("a")], tmp_path / "nowhere" / "kinetics")


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder" / "kpfiles").mkdir(parents=True)
    for name in ("file", "folder"):
        with pytest.raises(FileExistsError, match=rf"{name} exists\. Choose another folder: nothing is overwritten"):
            write_kpfiles([normal_clip("a")], tmp_path / name)
    assert (tmp_path / "file").read_text() == "old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "kpfiles"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "new").mkdir()
    assert write_kpfiles([normal_clip("a")], tmp_path / "new") == tmp_path / "new" / "index.pkl"
    assert sorted(os.listdir(tmp_path)) == ["new"]


@pytest.mark.parametrize("error", [FormatError, KeyboardInterrupt])
def test_an_interrupted_writing_leaves_nothing(error, tmp_path, monkeypatch):
    def broken(clip, raw_file=""):
        if clip["frame_dir"] == "c":
            raise error
        return compress({**clip, "raw_file": raw_file})

    monkeypatch.setattr("pysklnb.kpfiles._compressed", broken)
    with pytest.raises(error):
        write_kpfiles([normal_clip(name) for name in "abcd"], tmp_path / "new", clips_per_file=2)
    assert os.listdir(tmp_path) == []


def test_a_few_clips_at_a_time_are_in_memory(tmp_path, monkeypatch):
    (tmp_path / "data.pkl").write_bytes(pickle.dumps([normal_clip(f"{number:02}") for number in range(60)], 4))
    turned, alive, most = ArrayHandle._turned, weakref.WeakSet(), []

    class Counted(np.ndarray):
        __hash__ = object.__hash__

    def count(handle, array):
        alive.add(array := turned(handle, array).view(Counted))
        most.append(len(alive))
        return array

    monkeypatch.setattr(ArrayHandle, "_turned", count)
    write_kpfiles(load(tmp_path / "data.pkl"), tmp_path / "new", clips_per_file=20)
    assert len(most) == 60 * 2 * 2  # keypoint and keypoint_score, for the kpfiles and for the index
    assert max(most) <= 4


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([load(sample("ntu60_3danno"))[0]], r"clip 'S\w+': keypoint: found float16 of shape .*expected numbers \[M, T"),
        ([normal_clip("a"), record("b")], r"clip 'b': keypoint: found none.*Those of an index are in kpfiles"),
        ([normal_clip("a"), normal_clip("a")], r"annotations\[1\] has the id 'a' of annotations\[0\]\. Rename one"),
        ([normal_clip("a"), {**normal_clip("b"), "frame_dir": None}], r"annotations\[1\]: found the id None, expected"),
        ([{**normal_clip("a"), "frame_dir": 3}], r"annotations\[0\]: found the id 3, expected a text"),
    ],
    ids=["3D", "index-record", "repeated-id", "no-id", "number-as-id"],
)
def test_what_cannot_be_written_is_refused_with_its_place(clips, message, tmp_path):
    with pytest.raises(FormatError, match=message):
        write_kpfiles(clips, tmp_path / "new")
    assert os.listdir(tmp_path) == []


def test_a_kpfile_has_a_clip_or_more(tmp_path):
    with pytest.raises(ValueError, match="clips_per_file: found 0, expected 1 or more"):
        write_kpfiles([normal_clip("a")], tmp_path / "new", clips_per_file=0)
