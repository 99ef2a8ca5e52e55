"""Files and bytes as sources of arrays: what is read is what was opened, or an error says why not."""

import contextlib
import copy
import gc
import multiprocessing
import os
import pickle
import threading

import numpy as np
import pytest

from pysklnb import FormatError, UnsafePickleError
from pysklnb.reader import read
from pysklnb.sources import DECODERS, WIDEST, ArrayHandle, BytesSource, FileSource, Form, read_together, unquote

NUMBERS = np.arange(12, dtype="<f4").reshape(3, 4)
NO_PREADV = not hasattr(os, "preadv")


@pytest.fixture
def path(tmp_path):
    """A file of five bytes and twelve numbers."""
    file = tmp_path / "numbers.bin"
    file.write_bytes(b"#####" + NUMBERS.tobytes())
    return file


@pytest.fixture(params=[True, False], ids=["kept_open", "opened_anew"])
def source(request, path):
    return FileSource(path, keep_open=request.param)


def handle(source, *, shape=(3, 4), **form):
    return ArrayHandle(source, 5, 48, shape, Form(np.dtype("<f4"), **form))


def is_our_own(array):
    return array.flags.owndata and array.flags.writeable and array.base is None


# ----------------------------------------------------------------------------------------------------
# Reading


def test_both_errors_are_value_errors():
    assert issubclass(FormatError, ValueError)
    assert issubclass(UnsafePickleError, ValueError)
    assert not issubclass(UnsafePickleError, FormatError)


def test_array_of_a_file_is_read(source):
    array = handle(source).read()
    np.testing.assert_array_equal(array, NUMBERS)
    assert is_our_own(array)


def test_array_of_bytes_is_read():
    array = handle(BytesSource(b"#####" + NUMBERS.tobytes())).read()
    np.testing.assert_array_equal(array, NUMBERS)
    assert is_our_own(array)


def test_array_is_read_afresh_each_time(source):
    found = handle(source)
    found.read()[:] = -1
    np.testing.assert_array_equal(found.read(), NUMBERS)


def test_fortran_order_is_kept(source):
    array = handle(source, order="F").read()
    np.testing.assert_array_equal(array, NUMBERS.reshape(-1).reshape(3, 4, order="F"))
    assert array.flags.f_contiguous
    assert is_our_own(array)


def test_axes_of_a_transposed_array_are_in_its_shape(source):
    found = handle(source, shape=(3, 2, 2), order=(2, 0, 1))
    expected = NUMBERS.reshape(3, 2, 2).transpose(2, 0, 1)
    assert found.shape == (2, 3, 2)
    array = found.read()
    np.testing.assert_array_equal(array, expected)
    assert array.strides == expected.strides
    assert is_our_own(array)


def test_bytes_of_the_other_order_are_swapped(tmp_path):
    array = handle(BytesSource(b"#####" + NUMBERS.astype(">f4").tobytes()), swapped=True).read()
    np.testing.assert_array_equal(array, NUMBERS)
    assert array.dtype == np.dtype("<f4")


def test_handle_knows_its_array_without_reading_it(path):
    found = handle(FileSource(path))
    path.unlink()
    assert (found.shape, found.ndim, found.dtype, found.nbytes) == ((3, 4), 2, np.dtype("f4"), 48)
    assert repr(found) == "<array of shape (3, 4) and dtype float32, not read>"


def test_array_without_elements_needs_no_file(path):
    found = ArrayHandle(FileSource(path), 5, 0, (0, 17, 2), Form(np.dtype("f2")))
    path.unlink()
    assert found.read().shape == (0, 17, 2)


@pytest.mark.skipif(NO_PREADV, reason="no positioned reads here")
def test_reads_that_return_little_are_continued(path, monkeypatch):
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, targets, offset: whole(fd, [targets[0].cast("B")[:7]], offset))
    np.testing.assert_array_equal(handle(FileSource(path)).read(), NUMBERS)


# ----------------------------------------------------------------------------------------------------
# Bytes that are written as a text

TEXTS = {
    "utf-8": lambda data: data.decode("latin-1").encode("utf-8"),
    "escaped": lambda data: b"".join(b"\\u%04x" % byte if byte in b"\\\n\0" else bytes([byte]) for byte in data),
    "quoted": lambda data: repr(data)[2:-1].encode(),
}


def test_every_encoding_has_a_decoder_and_a_width():
    assert set(WIDEST) == {"raw", *DECODERS} == {"raw", *TEXTS}


@pytest.mark.parametrize("encoding", TEXTS)
def test_every_byte_is_decoded(encoding):
    data = bytes(range(256))
    written = TEXTS[encoding](data)
    assert len(written) <= WIDEST[encoding] * len(data)
    found = ArrayHandle(BytesSource(written), 0, len(written), (256,), Form(np.dtype("u1"), encoding))
    assert found.read().tolist() == list(range(256))
    assert is_our_own(found.read())


@pytest.mark.parametrize("quote", [b"it's", b'say "it"', b"both ' and \""], ids=["single", "double", "both"])
def test_strings_of_python_2_are_unquoted(quote):
    assert unquote(repr(quote)[2:-1].encode()) == quote


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("utf-8", "\u0100" * 12),
        ("utf-8", "a" * 23),
        ("utf-8", "a" * 25),
        ("utf-8", b"\xff" * 24),
        ("escaped", "\\u0100" * 24),
        ("escaped", "\\u01"),
        ("quoted", "\\xg0" * 24),
        ("quoted", "\\q" * 24),
        ("quoted", "\\"),
    ],
)
def test_text_that_does_not_give_the_array_is_refused(encoding, written):
    written = written if isinstance(written, bytes) else written.encode()
    found = ArrayHandle(BytesSource(written, "a.pkl"), 0, len(written), (3, 2), Form(np.dtype("f4"), encoding))
    with pytest.raises(FormatError, match=r"a\.pkl: byte 0: the text of an array of shape \(3, 2\) and dtype float32"):
        found.read()


# ----------------------------------------------------------------------------------------------------
# Files that change


def test_file_that_grew_is_noticed(source, path):
    with path.open("ab") as file:
        file.write(b"!")
    with pytest.raises(
        FormatError, match=r"changed on disk after it was opened: 54 bytes now, 53 then\. Load it again"
    ):
        handle(source).read()
    with pytest.raises(FormatError, match="changed on disk"):
        source.check_unchanged()
    with pytest.raises(FormatError, match="changed on disk"):
        source.map()


def test_file_that_was_written_again_is_noticed(source, path):
    os.utime(path, ns=(1, source.mtime_ns + 1))
    with pytest.raises(FormatError, match="changed on disk"):
        handle(source).read()


def test_file_that_was_replaced_is_noticed(source, path, tmp_path):
    other = tmp_path / "other.bin"
    other.write_bytes(b"#####" + (NUMBERS + 1).tobytes())
    os.utime(other, ns=(1, source.mtime_ns + 1))
    os.replace(other, path)
    with pytest.raises(FormatError, match="changed on disk"):
        handle(source).read()


def test_file_that_was_removed_is_a_file_not_found_error(source, path):
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"numbers\.bin"):
        handle(source).read()
    with pytest.raises(FileNotFoundError, match=r"numbers\.bin"):
        source.check_unchanged()


def test_file_that_did_not_change_stays_good(source):
    source.check_unchanged()
    with source.map() as mapping:
        assert mapping[:5] == b"#####"


def test_array_beyond_the_end_is_refused(source):
    with pytest.raises(FormatError, match="byte 53: the file ends inside an array"):
        ArrayHandle(source, 5, 400, (100,), Form(np.dtype("f4"))).read()


# ----------------------------------------------------------------------------------------------------
# What is no file


def test_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pkl"):
        FileSource(tmp_path / "none.pkl")


def test_folder_is_refused(tmp_path):
    with pytest.raises(FormatError, match="is a folder, not a file"):
        FileSource(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no devices here")
def test_device_is_refused():
    with pytest.raises(FormatError, match="/dev/null is not a regular file"):
        FileSource("/dev/null")


def test_relative_path_holds_after_a_change_of_folder(path, tmp_path, monkeypatch):
    monkeypatch.chdir(path.parent)
    source = FileSource(path.name, keep_open=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    np.testing.assert_array_equal(handle(source).read(), NUMBERS)


# ----------------------------------------------------------------------------------------------------
# Descriptors, threads, processes


def open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no list of descriptors here")
def test_no_descriptor_is_left_open(path):
    before = open_files()
    sources = [FileSource(path) for _ in range(50)]
    handles = [handle(source) for source in sources]
    assert open_files() == before + (0 if NO_PREADV else 50)
    del sources
    handles[0].read()
    del handles
    assert open_files() == before


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no list of descriptors here")
def test_source_that_is_not_kept_open_has_no_descriptor(path):
    before = open_files()
    source = FileSource(path, keep_open=False)
    handle(source).read()
    assert open_files() == before


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no list of descriptors here")
@pytest.mark.parametrize("data", [pickle.dumps([NUMBERS]), b"", b"no pickle", b"\x80\x02"], ids=len)
def test_reader_leaves_no_descriptor_open(data, tmp_path):
    file = tmp_path / "set.pkl"
    file.write_bytes(data)
    before = open_files()
    for _ in range(20):
        with contextlib.suppress(FormatError):
            read(file)
    assert open_files() == before


@pytest.mark.parametrize("keep_open", [True, False], ids=["kept_open", "opened_anew"])
def test_copies_and_pickles_of_a_handle_read_the_same(path, keep_open):
    found = handle(FileSource(path, keep_open=keep_open))
    others = [copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))]
    del found
    gc.collect()
    for other in others:
        np.testing.assert_array_equal(other.read(), NUMBERS)


def test_pickle_of_a_handle_is_small_and_notices_a_change(path):
    data = pickle.dumps(handle(FileSource(path)))
    assert len(data) < 1000
    path.write_bytes(b"short")
    with pytest.raises(FormatError, match="changed on disk after it was opened: 5 bytes now, 53 then"):
        pickle.loads(data)


def test_threads_do_not_disturb_each_other(tmp_path):
    file = tmp_path / "set.pkl"
    file.write_bytes(pickle.dumps([np.full(5000, number) for number in range(40)], 2))
    handles = read(file)
    wrong = []

    def work(start):
        for number in [*range(start, 40), *range(start)]:
            if not (handles[number].read() == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def sums(handles, results):
    results.put([float(found.read().sum()) for found in handles])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_processes_read_the_same_file(tmp_path):
    file = tmp_path / "set.pkl"
    file.write_bytes(pickle.dumps([np.full(5000, number) for number in range(20)], 4))
    handles = read(file)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=sums, args=(handles, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    expected = [5000.0 * number for number in range(20)]
    assert [float(found.read().sum()) for found in handles] == expected
    assert [results.get(timeout=30) for _ in workers] == [expected] * 2
    for worker in workers:
        worker.join()


# ---------------------------------------------------------------------------------------------------------------
# Many arrays at once


@pytest.fixture
def near(tmp_path):
    """Handles of three arrays of one file, in the file's order, and the arrays."""
    arrays = [np.arange(6, dtype="<f4").reshape(2, 3), np.arange(200, 208, dtype=np.uint8), np.ones((0, 2), "<f2")]
    texts = [arrays[0].tobytes(), arrays[1].tobytes().decode("latin-1").encode(), b""]
    (tmp_path / "near.bin").write_bytes(b"--" + b"--".join(texts))
    source, offset, handles = FileSource(tmp_path / "near.bin"), 2, []
    for array, text, encoding in zip(arrays, texts, ("raw", "utf-8", "utf-8"), strict=True):
        handles.append(ArrayHandle(source, offset, len(text), array.shape, Form(array.dtype, encoding)))
        offset += len(text) + 2
    return handles, arrays


def assert_are(found, arrays):
    for array, expected in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(array, expected, strict=True)
        assert array.flags.owndata
        assert array.flags.writeable


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1], []], ids=str)
def test_arrays_are_read_together(near, order):
    handles, arrays = near
    assert_are(read_together([handles[place] for place in order]), [arrays[place] for place in order])


def test_arrays_that_lie_together_are_fetched_once(near, monkeypatch):
    handles, arrays = near
    fetched = []
    read_bytes = FileSource.read_bytes
    monkeypatch.setattr(FileSource, "read_bytes", lambda *place: fetched.append(place) or read_bytes(*place))
    assert_are(read_together(handles), arrays)
    assert len(fetched) == 1


def test_arrays_that_lie_far_apart_are_fetched_one_by_one(tmp_path, monkeypatch):
    (tmp_path / "far.bin").write_bytes(b"ab" + bytes(10_000) + b"cd")
    source, lengths = FileSource(tmp_path / "far.bin"), []
    read_into = FileSource.read_into
    monkeypatch.setattr(FileSource, "read_into", lambda *of: lengths.append(of[2].nbytes) or read_into(*of))
    handles = [ArrayHandle(source, offset, 2, (2,), Form(np.dtype("u1"))) for offset in (0, 10_002)]
    assert [array.tobytes() for array in read_together(handles)] == [b"ab", b"cd"]
    assert lengths == [2, 2]


def test_arrays_of_several_files_are_read_together(near):
    handles, arrays = near
    other = ArrayHandle(BytesSource(b"xyz"), 1, 2, (2,), Form(np.dtype("u1")))
    assert_are(read_together([handles[0], other, handles[1]]), [arrays[0], np.frombuffer(b"yz", "u1"), arrays[1]])


def test_a_damaged_array_leaves_the_others_be(near):
    handles, arrays = near
    handles[1].length -= 1
    whole, damaged, empty = read_together(handles)
    assert_are([whole, empty], [arrays[0], arrays[2]])
    assert isinstance(damaged, FormatError)
    assert "does not give its 8 bytes" in str(damaged)
