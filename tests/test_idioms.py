"""The quick way through a file is the slow way's shortcut: the same values, or a refusal by both."""

import collections
import io
import pickle
import pickletools
import random
import struct

import numpy as np
import pytest

from pysklnb import FormatError, UnsafePickleError, idioms
from pysklnb.idioms import NeedSteps, Template
from pysklnb.reader import _Machine, read
from pysklnb.sources import ArrayHandle, BytesSource

TEMPLATE_PROTOCOLS = (2, 3, 4, 5)
CODES = b"".join(opcode.code.encode("latin-1") for opcode in pickletools.opcodes)


def clips(count, *, people=1, frames=30, joints=17, axes=2, dtype="f2", extra=None):
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        shape = (people, frames + number % 7, joints, axes)
        hw = (1080, 1920)
        made.append(
            {
                "frame_dir": f"S001C001P001R001A{number:03d}",
                "label": number % 60,
                "img_shape": hw,
                "original_shape": hw,
                "total_frames": shape[1],
                "keypoint": rng.normal(500, 100, shape).astype(dtype),
                "keypoint_score": rng.random(shape[:3]).astype(dtype),
                **(extra(number) if extra else {}),
            }
        )
    return made


def data_set(annotations):
    ids = [clip["frame_dir"] for clip in annotations]
    return {"split": {"train": ids[::2], "val": ids[1::2]}, "annotations": annotations}


def kinetics(count):
    rng = np.random.default_rng(0)
    return [
        {
            "frame_dir": f"abseiling/{number:04d}",
            "label": number % 400,
            "total_frames": 300,
            "frame_inds": np.sort(rng.integers(0, 150, 20 + number % 9) * 2 + 1).astype("i2"),
            "box_score": rng.random(20 + number % 9).astype("f2"),
            "valid": {0.5: number, 0.6: 3, 0.7: 2, 0.8: 300, 0.9: 0},
        }
        for number in range(count)
    ]


def long_memo(value):
    """The value after 256 texts: memo numbers of four bytes, with which protocols 2 and 3 have templates."""
    return [[f"text {number}" for number in range(256)], value]


def to_a_file(value, protocol):
    file = io.BytesIO()
    pickle.dump(value, file, protocol)
    return file.getvalue()


def stepped(data, *, templates=False):
    source = BytesSource(data)
    return _Machine(source, data, templates=templates).run()


def plain(value):
    """A value that can be compared: types and orders of keys are part of it, and arrays are read."""
    if isinstance(value, ArrayHandle):
        array = value.read()
        return "array", array.dtype.str, array.shape, array.strides, array.tobytes()
    if isinstance(value, dict):
        return type(value), [(type(key), key, plain(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [plain(item) for item in value]
    return type(value), repr(value)


def outcome(run, data):
    try:
        return plain(run(data))
    except (FormatError, UnsafePickleError):
        return "refused"


def taken(data):
    """Number of dicts that templates take of the file."""
    machine = _Machine(BytesSource(data), data)
    machine.run()
    return len(machine.templates.taken)


# ----------------------------------------------------------------------------------------------------
# Good files

OFFICIAL = {
    "two_dimensions": data_set(clips(120)),
    "three_dimensions": data_set(clips(120, people=2, joints=25, axes=3)),
    "float32": data_set(clips(120, dtype="f4")),
    "extra_keys": clips(120, extra=lambda n: {"score": n / 7, "gone": None, "good": True, "clip_len": 70000 + n}),
    "numpy_labels": [dict(clip, label=np.int64(clip["label"]), fps=np.float32(25)) for clip in clips(120)],
    "lists_for_sizes": [dict(clip, img_shape=[1080, 1920], box=[0.5, n, -3.25]) for n, clip in enumerate(clips(120))],
    "fortran_order": [dict(clip, keypoint=np.asfortranarray(clip["keypoint"])) for clip in clips(120, people=2)],
    "kinetics": {"split": {}, "annotations": kinetics(120)},
    "kpfile": {f"clip{n}": {"keypoint": np.full((9 + n % 5, 17, 3), n, "f2")} for n in range(120)},
}


@pytest.mark.parametrize("value", OFFICIAL.values(), ids=OFFICIAL)
@pytest.mark.parametrize("protocol", TEMPLATE_PROTOCOLS)
def test_nearly_all_dicts_of_an_official_file_are_taken_in_one_step(protocol, value):
    """The first ones teach, or have memo numbers of one byte; where a frame begins inside, the machine steps."""
    data = pickle.dumps(value, protocol)
    frames = sum(opcode.name == "FRAME" for opcode, _, _ in pickletools.genops(data))
    early = 35 if protocol < 4 else 3
    assert 120 - taken(data) <= early + frames
    assert plain(read(data)) == plain(stepped(data))


@pytest.mark.parametrize("write", [pickle.dumps, to_a_file], ids=["bytes", "file"])
@pytest.mark.parametrize("protocol", TEMPLATE_PROTOCOLS)
def test_dicts_with_arrays_larger_than_a_frame_are_taken_too(protocol, write):
    data = write(long_memo(clips(20, people=2, frames=300, joints=25, axes=3)), protocol)
    assert len(data) > 20 * 90_000
    assert taken(data) >= 17
    assert plain(read(data)) == plain(stepped(data))


@pytest.mark.parametrize("protocol", TEMPLATE_PROTOCOLS)
def test_two_kinds_of_clips_in_turn_are_both_taken(protocol):
    mixed = [dict(clip, num_person_raw=1) if number % 2 else clip for number, clip in enumerate(clips(100, frames=9))]
    data = pickle.dumps(long_memo(mixed), protocol)
    assert taken(data) >= 95
    assert plain(read(data)) == plain(stepped(data))


NUMBERS = [f"number{place}" for place in range(7)]


def in_128_kinds(count, texts_first=0):
    """Dicts with numbers below 256 and above, which have different instructions; the kinds take turns."""
    made = []
    for number in range(count):
        texts = {name: f"{name} {number:06}" for name in ("frame_dir", "folder")}
        numbers = {name: number % 9 + 300 * (number >> place & 1) for place, name in enumerate(NUMBERS)}
        items = [*texts.items(), *numbers.items()]
        made.append(dict(items[2 - texts_first :] + items[: 2 - texts_first]))
    return made


@pytest.mark.parametrize("texts_first", [0, 1])
@pytest.mark.parametrize("protocol", TEMPLATE_PROTOCOLS)
def test_dicts_whose_numbers_are_written_in_many_ways_are_taken(protocol, texts_first):
    data = pickle.dumps(long_memo(in_128_kinds(1000, texts_first)), protocol)
    assert taken(data) >= 850
    assert plain(read(data)) == plain(stepped(data))


def test_templates_are_given_up_when_each_dict_fits_the_last_of_many():
    """Up to the second text the kinds look alike: each dict is compared with nearly all templates."""
    data = pickle.dumps(long_memo(in_128_kinds(5000, texts_first=2)), 2)
    assert taken(data) < 500
    assert plain(read(data)) == plain(stepped(data))


def test_what_is_taken_is_what_the_file_says():
    annotations = clips(50)
    for clip, found in zip(annotations, read(pickle.dumps(annotations, 2)), strict=True):
        assert found["frame_dir"] == clip["frame_dir"]
        assert found["img_shape"] == clip["img_shape"]
        np.testing.assert_array_equal(found["keypoint"].read(), clip["keypoint"])


def test_equal_shapes_share_one_tuple():
    found = read(pickle.dumps(clips(50), 2))
    shapes = {id(clip["keypoint"].stored_shape) for clip in found[20:]}
    assert len(shapes) == 7


UNUSUAL = {
    "clips_three_times": clips(4) * 3,
    "one_clip_in_two_lists": {"a": clips(4), "b": clips(4)[:2]},
    "shared_arrays": [dict(clip, again=clip["keypoint"]) for clip in clips(6)],
    "shared_array_of_another_clip": [dict(clip, first=array) for array in [np.ones(9, "f4")] for clip in clips(6)],
    "shared_list": [dict(clip, both=both) for both in [[1, 2]] for clip in clips(6)],
    "lists_inside": [dict(clip, frames=[1, 2, number]) for number, clip in enumerate(clips(6))],
    "empty_dicts_inside": [dict(clip, meta={}) for clip in clips(6)],
    "dicts_inside_dicts": [dict(clip, a={"b": {"c": number}}) for number, clip in enumerate(clips(6))],
    "empty_arrays": [dict(clip, keypoint=np.zeros((0, 9, 17, 2), "f2")) for clip in clips(6)],
    "arrays_of_one_byte": [{"a": np.array([number], "u1"), "b": np.array([3], "u1")} for number in range(9)],
    "arrays_of_two_bytes": [{"a": np.array([number], "i2"), "b": np.array([3], "f2")} for number in range(9)],
    "zero_dimensions": [{"a": np.array(number, "f4")} for number in range(9)],
    "big_endian": clips(6, dtype=">f4"),
    "two_dtypes_in_turn": [{"a": np.arange(9).astype("f4" if number % 2 else "f2")} for number in range(20)],
    "shapes_of_other_length": [{"a": np.zeros((2,) * (1 + number % 4), "f4")} for number in range(20)],
    "long_shapes": [{"a": np.ones((1,) * 12, "f4")} for number in range(9)],
    "tuples_of_other_length": [{"a": tuple(range(number))} for number in range(30)],
    "numpy_scalars": [{"label": np.int64(number)} for number in range(9)],
    "numpy_scalars_of_all_kinds": [
        {"a": kind(n), "b": kind(7)}
        for kind in (np.int8, np.bool_, np.uint16, np.float16, np.float64)
        for n in range(9)
    ],
    "numpy_scalars_of_wide_bytes": [{"a": np.int64(-number), "b": np.uint16(0xFF80 + number)} for number in range(9)],
    "big_endian_scalars": [{"a": np.dtype(">i4").type(number)} for number in range(9)],
    "shared_list_inside": [{"a": both, "b": both} for both in ([number, 2] for number in range(9))],
    "lists_of_other_length": [{"a": list(range(number)), "b": [number]} for number in range(20)],
    "lists_of_other_things": [{"a": [number, "x"], "b": [[number]], "c": [(1, number)]} for number in range(9)],
    "lists_of_floats_and_truths": [{"a": [number / 7, None, True, number]} for number in range(9)],
    "negative_and_wide_numbers": [{"a": -number, "b": 2**40 + number, "c": 300 * number} for number in range(9)],
    "truths": [{"a": number % 2 == 0} for number in range(9)],
    "integer_keys": [{number: 1, "a": 2} for number in range(9)],
    "float_keys": [{0.5: number, 0.25: "a"} for number in range(9)],
    "texts_of_all_lengths": [{"a": "\u00e9" * number} for number in (0, 1, 2, 127, 128, 255, 256, 300)],
    "surrogates": [{"a": f"\udc80{number}"} for number in range(9)],
    "ordered_dicts": [collections.OrderedDict(a=number, b=2) for number in range(9)],
    "bytes_inside": [{"a": b"ab%d" % number} for number in range(9)],
    "one_key": [{"a": number} for number in range(9)],
    "text_of_its_own_key": [{"a": "a", "b": "a"} for number in range(9)],
    "more_keys_than_a_batch": [{f"k{number}": number for number in range(1100)} for _ in range(2)],
    "many_memo_entries": [{"a": f"text{number}"} for number in range(300)] + clips(6),
    "nothing": [{} for _ in range(9)],
}


@pytest.mark.parametrize("value", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_dicts_are_read_as_in_single_steps(value):
    for protocol in range(6):
        data = pickle.dumps(long_memo(value), protocol)
        assert plain(read(data)) == plain(stepped(data))
        data = pickletools.optimize(data)
        assert plain(read(data)) == plain(stepped(data))


def test_reference_into_what_was_passed_over_is_read_in_single_steps():
    data = pickle.dumps(clips(4) * 2, 4)
    with pytest.raises(NeedSteps):
        stepped(data, templates=True)
    value = read(data)
    assert value[0] is value[4]


def test_dict_that_grows_after_it_was_taken_is_read_in_single_steps():
    data = b"\x80\x02](X\1\0\0\0aq\0" + b"}h\0K\1s" * 3 + b"X\1\0\0\0bK\2se."
    with pytest.raises(NeedSteps):
        stepped(data, templates=True)
    assert read(data) == ["a", {"a": 1}, {"a": 1}, {"a": 1, "b": 2}]


def test_list_that_grows_after_it_was_taken_is_read_in_single_steps():
    data = b"\x80\x02](X\1\0\0\0aq\0" + b"}h\0]q\1(K\1K\2es" * 3 + b"h\1e."
    value = [*[{"a": [1, 2]}] * 3, [1, 2]]
    assert read(data) == ["a", *value]
    grows = data[:-2] + b"K\3ae."
    assert outcome(read, grows) == outcome(stepped, grows)


def test_memo_entry_that_is_made_anew_changes_what_is_read():
    data = b"\x80\x02](X\1\0\0\0aq\0" + b"}h\0K\1s" * 3 + b"X\1\0\0\0bq\0" + b"}h\0K\1s" * 3 + b"e."
    assert read(data) == ["a", *[{"a": 1}] * 3, "b", *[{"b": 1}] * 3]


def test_lessons_become_rare_where_they_do_not_help(monkeypatch):
    lessons = []

    class Counted(Template):
        def __init__(self, *args):
            lessons.append(args)
            super().__init__(*args)

    monkeypatch.setattr(idioms, "Template", Counted)
    read(pickle.dumps([{"a": [[number]]} for number in range(5000)], 4))
    assert 500 < len(lessons) < 600


# ----------------------------------------------------------------------------------------------------
# Made by hand: dicts that look like ones that a template takes


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def after_two(good, other):
    """A list in which `other` follows two dicts that teach a template; `h\\0` to `h\\2` are the keys a, b, c."""
    keys = b"".join(text(key) + b"q" + bytes([number]) for number, key in enumerate("abc"))
    return b"\x80\x02](" + keys + good * 2 + other + b"e."


LOOKALIKES = {
    "four_numbers_and_true_are_no_tuple": (b"}(h\0K\1K\2K\3K\4\x88h\1K\5u", b"}(h\0K\1K\2K\3K\4\x88h\1K\5u"),
    "many_numbers_are_no_tuple": (b"}(h\0" + b"K\1" * 131 + b"u", b"}(h\0" + b"K\1" * 131 + b"u"),
    "tuple_of_a_hundred": (b"}h\0(" + b"K\1" * 100 + b"ts", b"}h\0(" + b"K\2" * 100 + b"ts"),
    "key_twice": (b"}(h\0K\1h\0K\2u", b"}(h\0K\1h\0K\2u"),
    "memo_of_nothing": (b"}h\0h\1s", b"}h\0h\xffs"),
    "memo_of_a_list": (b"}h\0h\1s", b"]q\3}h\0h\3s"),
    "memo_of_a_name": (b"}h\0h\1s", b"cnumpy\nndarray\nq\3}h\0h\3s"),
    "itself_as_value": (b"}r\3\0\0\0h\0j\3\0\0\0s", b"}r\4\0\0\0h\0j\4\0\0\0s"),
    "text_beyond_the_end": (b"}h\0X\1\0\0\0xs", b"}h\0X\xff\xff\0\0xs"),
    "text_that_is_not_utf8": (b"}h\0X\1\0\0\0xs", b"}h\0X\1\0\0\0\xffs"),
    "float_key_that_is_not_finite": (b"}G\x7f\xf0\0\0\0\0\0\0K\1s", b"}G\x7f\xf8\0\0\0\0\0\0K\1s"),
    "list_in_itself": (b"}h\0]r\3\0\0\0K\1as", b"}h\0]r\3\0\0\0j\3\0\0\0as"),
    "list_of_a_hundred": (b"}h\0](" + b"K\1" * 100 + b"es", b"}h\0](" + b"K\2" * 100 + b"es"),
    "list_without_an_end": (b"}h\0](K\1K\2es", b"}h\0](K\1K\2"),
    "cut_short": (b"}(h\0K\1h\1K\2u", b"}(h\0K\1h\1"),
    "frame_to_the_end_and_one_more": (b"}(h\0K\1u", b"\x95\7\0\0\0\0\0\0\0}(h\0K\1u"),
}


@pytest.mark.parametrize(("good", "other"), LOOKALIKES.values(), ids=LOOKALIKES)
def test_lookalikes_are_taken_as_in_single_steps(good, other):
    data = after_two(good, other)
    assert outcome(read, data) == outcome(stepped, data)


ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\nq\3cnumpy\nndarray\nq\4K\0\x85C\1bq\5\x87R(K\1K\4\x85"
    b"cnumpy\ndtype\nX\2\0\0\0f4\x89\x88\x87Rq\6(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"
    b"C\x10" + bytes(16) + b"tb"
)


def array(shape=b"K\4\x85", data=b"C\x10" + bytes(16), dtype=b"h\6", order=b"\x89"):
    return b"}h\0h\3h\4K\0\x85h\5\x87R(K\1" + shape + dtype + order + data + b"tbs"


ARRAYS = {
    "good": array(shape=b"K\2\x85", data=b"C\x08abcdefgh"),
    "too_few_bytes": array(data=b"C\x0f" + bytes(15)),
    "too_many_bytes": array(data=b"C\x11" + bytes(17)),
    "negative_side": array(shape=b"J\xfc\xff\xff\xff\x85"),
    "two_negative_sides": array(shape=b"J\xfe\xff\xff\xffJ\xfe\xff\xff\xff\x86"),
    "zero_side": array(shape=b"K\0\x85"),
    "sides_of_one": array(shape=b"(" + b"K\1" * 40 + b"K\4t"),
    "huge_product": array(shape=b"(" + b"J\0\0\0\x40" * 4 + b"t"),
    "wrong_dtype": array(dtype=b"h\5"),
    "other_order": array(order=b"\x88"),
    "order_that_is_no_truth": array(order=b"N"),
}


@pytest.mark.parametrize("other", ARRAYS.values(), ids=ARRAYS)
def test_lookalikes_with_arrays_are_taken_as_in_single_steps(other):
    keys = text("a") + b"q\0" + text("b") + b"q\1" + text("c") + b"q\2"
    for lessons in (array() * 2, other * 2):
        data = b"\x80\x03](" + keys + ARRAY + lessons + other + b"e."
        assert outcome(read, data) == outcome(stepped, data)


def test_arrays_made_by_hand_are_taken():
    keys = text("a") + b"q\0" + text("b") + b"q\1" + text("c") + b"q\2"
    assert taken(b"\x80\x03](" + keys + ARRAY + array() * 5 + b"e.") == 5


def test_nest_of_taken_dicts_is_no_deeper_than_of_others():
    """The clips themselves lie as deep as data may; what they hold lies deeper."""
    for depth in range(10, 18):
        nested = [{"a": (1, number), "b": {"c": (2, number)}} for number in range(5)]
        for _ in range(depth):
            nested = [nested]
        data = pickle.dumps(nested, 4)
        assert outcome(read, data) == outcome(stepped, data), depth


def test_another_dict_at_the_very_end_is_read_in_single_steps():
    """What templates have in common is longer than what is left of the file."""
    kin = [dict.fromkeys(NUMBERS, 1) | {"text": f"{number}", "end": 300 * (number % 2)} for number in range(9)]
    for protocol in TEMPLATE_PROTOCOLS:
        data = pickle.dumps([*long_memo(kin), {"a": "b"}], protocol)
        assert plain(read(data)) == plain(stepped(data))


# ----------------------------------------------------------------------------------------------------
# Damage


def mutated(data, rng):
    """The data with one or two faults, mostly in its last third, where templates are at work."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(2 * len(data) // 3 if rng.random() < 0.8 else 0, len(data))
        other, length = rng.randrange(len(data)), rng.choice((1, 2, 5, 9))
        match rng.randrange(6):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.choice(CODES)
            case 2:
                del data[at : at + length]
            case 3:
                data[at : at + length] = data[other : other + length]
            case 4:
                data[at:at] = data[other : other + length]
            case 5:
                data[at] = rng.choice((0, 1, 2, 127, 128, 255))
    return bytes(data)


DAMAGED = {
    "clips": clips(8, frames=2, joints=2),
    "kinetics": kinetics(7),
    "shared": clips(3, frames=2, joints=2) * 2,
    "small": [{"a": number, "b": (number, 2), "c": "text", "d": {0.5: None, "e": True}} for number in range(12)],
    "numbers_of_numpy": [{"a": np.int64(number), "b": [number, 0.5], "c": np.float16(2)} for number in range(12)],
    "kin": in_128_kinds(40, texts_first=1),
}


@pytest.mark.parametrize("value", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("protocol", TEMPLATE_PROTOCOLS)
def test_damaged_files_are_read_or_refused_as_in_single_steps(protocol, value):
    rng = random.Random(protocol)
    data = pickle.dumps(long_memo(value), protocol)
    if value is not DAMAGED["shared"]:  # which is read in single steps in the end
        assert taken(data) >= 3
    refused = 0
    for _ in range(100):
        bad = mutated(data, rng)
        found = outcome(read, bad)
        assert found == outcome(stepped, bad), bad
        refused += found == "refused"
    assert 10 < refused < 100
