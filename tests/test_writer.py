import collections
import os
import pickle
import pickletools
import weakref

import numpy as np
import pytest

from pysklnb import FormatError
from pysklnb.reader import read
from pysklnb.sources import ArrayHandle
from pysklnb.writer import check, to_bytes, write

PROTOCOLS = (2, 4)


@pytest.fixture(params=PROTOCOLS, ids=["protocol2", "protocol4"])
def protocol(request):
    return request.param


def round_trip(value, path, protocol):
    write(value, path, protocol=protocol, overwrite=True)
    with open(path, "rb") as file:
        return pickle.load(file)


VALUES = {
    "none": None,
    "bools": [True, False],
    "ints": [0, 255, 256, 65535, 65536, -1, -(2**31), 2**31, 2**40, -(2**63), 2**64 - 1],
    "floats": [0.5, -1.25, float("inf")],
    "texts": ["", "a", "ä", "\ud800", "x" * 300, "同"],
    "bytes": [b"", b"b", b"bc", bytes(range(256)) * 2],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "dict with float keys": {0.5: 10, 0.9: 2},
    "ordered dict": collections.OrderedDict([("b", 1), ("a", 2)]),
    "empty containers": [[], {}, ()],
    "more than a batch": list(range(2500)),
    "dict of more than a batch": {f"k{n}": n for n in range(2500)},
    "numpy scalars": [np.int64(3), np.float32(1.5), np.bool_(True), np.uint8(7), np.float16(0.1)],
    "nested": {
        "split": {"train": ["a", "b"]},
        "annotations": [{"frame_dir": "a", "img_shape": (1080, 1920)}],
    },
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_plain_pickle_gives_equal_values_of_the_same_types(value, tmp_path, protocol):
    found = round_trip(value, tmp_path / "file.pkl", protocol)
    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize("code", ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 3), (1, 2, 3, 2)], ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_plain_pickle_gives_equal_arrays(code, shape, order, tmp_path, protocol):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(code, order=order)
    found = round_trip([array, array], tmp_path / "file.pkl", protocol)
    for copy in found:
        np.testing.assert_array_equal(copy, array, strict=True)
        assert copy.flags.f_contiguous == array.flags.f_contiguous


def test_an_array_that_is_not_contiguous_is_written_whole(tmp_path, protocol):
    array = np.arange(24.0).reshape(4, 6)[::2, ::3]
    np.testing.assert_array_equal(round_trip(array, tmp_path / "file.pkl", protocol), array, strict=True)


def test_a_big_endian_array_keeps_its_values(tmp_path, protocol):
    array = np.arange(5, dtype=">f4")
    np.testing.assert_array_equal(round_trip(array, tmp_path / "file.pkl", protocol), array)


def test_names_are_spelled_as_numpy_1_has_them(tmp_path, protocol):
    write([np.zeros(3), np.float32(1)], tmp_path / "file.pkl", protocol=protocol)
    names = [argument for _, argument, _ in pickletools.genops((tmp_path / "file.pkl").read_bytes()) if argument]
    modules = {str(name).split()[0] for name in names if "numpy" in str(name)}
    assert modules == {"numpy.core.multiarray", "numpy"}


def test_the_instructions_are_the_standard_picklers(tmp_path, protocol):
    value = [{"frame_dir": f"clip {n}", "keypoint": np.full((1, 2, 3, 2), n, np.float16)} for n in range(1, 30)]
    write(value, tmp_path / "file.pkl", protocol=protocol)
    standard = pickle.dumps(value, protocol).replace(b"numpy._core", b"numpy.core")
    opcodes = [
        [opcode.name for opcode, _, _ in pickletools.genops(data) if opcode.name != "FRAME"]
        for data in (
            (tmp_path / "file.pkl").read_bytes(),
            standard if protocol == 2 else pickle.dumps(value, 4),
        )
    ]
    assert opcodes[0] == opcodes[1]


def test_a_shared_tuple_stays_one_object(tmp_path, protocol):
    shape = (1080, 1920)
    found = round_trip([{"img_shape": shape, "original_shape": shape}] * 2, tmp_path / "file.pkl", protocol)
    assert found[0]["img_shape"] is found[0]["original_shape"]
    assert found[1] == found[0]


def test_equal_texts_are_written_once(tmp_path, protocol):
    write(["same " * 20] * 100, tmp_path / "file.pkl", protocol=protocol)
    assert (tmp_path / "file.pkl").stat().st_size < 1000


def test_handles_and_mappings_are_written_one_at_a_time(tmp_path, protocol, monkeypatch):
    """While an array is written, no other one that was read before is alive."""
    write([{"keypoint": np.full(1000, n)} for n in range(20)], tmp_path / "in.pkl", protocol=protocol)
    alive = []

    def watched(handle, read=ArrayHandle.read):
        alive.append(sum(array() is not None for array in references))
        array = read(handle)
        references.append(weakref.ref(array))
        return array

    references = []
    handles = read(tmp_path / "in.pkl")
    monkeypatch.setattr(ArrayHandle, "read", watched)
    write(handles, tmp_path / "out.pkl", protocol=protocol)
    assert len(alive) == 20
    assert max(alive) <= 1


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_to_bytes_gives_what_write_writes(value, tmp_path, protocol):
    value = [value, np.arange(6.0).reshape(2, 3)]
    write(value, tmp_path / "file.pkl", protocol=protocol)
    assert to_bytes(value, protocol=protocol) == (tmp_path / "file.pkl").read_bytes()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {2, 3}]}, r"a\[1\]: found builtins\.set, expected plain values.*Convert it"),
        ([object()], r"\[0\]: found builtins\.object"),
        (np.array(["a"]), "found numpy's dtype <U1, expected numbers of at most 64 bits"),
        (np.array([None]), "found numpy's dtype object"),
        (np.zeros(2, "f4,f4"), "found numpy's dtype"),
        (np.zeros(2, complex), "found numpy's dtype complex128"),
        ([2**64], r"\[0\]: found an int of more than 64 bits"),
        ({(1, 2): 3}, r"found the key \(1, 2\), expected a str or a number"),
    ],
    ids=["set", "object", "strings", "objects", "records", "complex", "wide int", "tuple key"],
)
def test_what_is_no_data_is_refused_with_its_place(value, message, tmp_path, protocol):
    with pytest.raises(FormatError, match=message):
        write(value, tmp_path / "file.pkl", protocol=protocol)
    assert os.listdir(tmp_path) == []
    with pytest.raises(FormatError, match=message):
        to_bytes(value, protocol=protocol)
    # The same words, with the place that the value would have.
    with pytest.raises(FormatError) as written:
        write({"annotations": value}, tmp_path / "file.pkl", protocol=protocol)
    with pytest.raises(FormatError) as checked:
        check(value, "annotations")
    assert str(checked.value) == str(written.value)


def test_what_can_be_written_passes_the_check():
    assert [check(value, "here") for value in VALUES.values()] == [None] * len(VALUES)


def test_a_list_that_holds_itself_is_refused(tmp_path, protocol):
    value = []
    value.append(value)
    with pytest.raises(FormatError, match="nested more than 16 deep, or part of itself"):
        write(value, tmp_path / "file.pkl", protocol=protocol)


@pytest.mark.parametrize("protocol", [0, 1, 3, 5, "2"])
def test_other_protocols_are_refused(protocol, tmp_path):
    message = r"protocol=.*: 2 \(as the official tools write\) or 4"
    with pytest.raises(FormatError, match=message):
        write([], tmp_path / "file.pkl", protocol=protocol)
    with pytest.raises(FormatError, match=message):
        to_bytes([], protocol=protocol)
    assert os.listdir(tmp_path) == []


def test_nothing_is_overwritten_unasked(tmp_path):
    path = tmp_path / "file.pkl"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"file\.pkl exists.*overwrite=True"):
        write([], path)
    assert path.read_bytes() == b"old"
    write([], path, overwrite=True)
    assert pickle.loads(path.read_bytes()) == []


@pytest.mark.parametrize("error", [FormatError, KeyboardInterrupt])
def test_an_interrupted_writing_leaves_the_old_file_and_nothing_else(tmp_path, error):
    class Broken(collections.UserDict):
        def __getitem__(self, key):
            raise error

    path = tmp_path / "file.pkl"
    path.write_bytes(b"old")
    with pytest.raises(error):
        write([1, 2, Broken(a=1)], path, overwrite=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.pkl"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "file.pkl"

    class Slow(collections.UserDict):
        def __getitem__(self, key):
            path.write_bytes(b"somebody else's")
            return 1

    with pytest.raises(FileExistsError):
        write([Slow(a=1)], path)
    assert path.read_bytes() == b"somebody else's"
    assert os.listdir(tmp_path) == ["file.pkl"]


def test_a_link_is_followed_not_replaced(tmp_path):
    (tmp_path / "real.pkl").write_bytes(b"old")
    (tmp_path / "link.pkl").symlink_to("real.pkl")
    write([1], tmp_path / "link.pkl", overwrite=True)
    assert (tmp_path / "link.pkl").is_symlink()
    assert pickle.loads((tmp_path / "real.pkl").read_bytes()) == [1]


def test_a_folder_is_not_written_to(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"is a folder\. Name the file"):
        write([1], tmp_path, overwrite=True)


def test_a_bytearray_becomes_bytes(tmp_path, protocol):
    assert round_trip([bytearray(b"abc")], tmp_path / "file.pkl", protocol) == [b"abc"]
