import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from pysklnb import sample
from pysklnb.__main__ import main


def test_describe_prints_what_a_file_is(tmp_path, capsys):
    clip = {"frame_dir": "a", "label": 3, "total_frames": 2, "keypoint": np.zeros((1, 2, 17, 2))}
    (tmp_path / "data.pkl").write_bytes(pickle.dumps([clip]))
    assert main(["describe", str(tmp_path / "data.pkl")]) == 0
    assert capsys.readouterr().out.startswith("data.pkl: 1 clip of 2D skeletons with 17 joints (coco)\n")


def test_validate_prints_the_report_and_gives_status_0_without_errors(capsys):
    assert main(["validate", str(sample("ntu60_3danno"))]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("ntu60_3danno.pkl: 40 clips, 0 errors, 0 warnings, 2 notes\n")
    assert printed.err == ""


def test_validate_gives_status_1_with_errors(tmp_path, capsys):
    (tmp_path / "data.pkl").write_bytes(pickle.dumps([{"frame_dir": "a", "label": 3, "total_frames": 2}]))
    assert main(["validate", str(tmp_path / "data.pkl")]) == 1
    assert "error [keypoint-missing]" in capsys.readouterr().out


def test_validate_takes_the_name_of_a_data_set(capsys):
    assert main(["validate", str(sample("ntu60_3danno")), "--dataset", "ntu60_hrnet"]) == 1
    assert "error [keypoint-coordinates], 40 times" in capsys.readouterr().out


def test_validate_takes_a_layout_and_the_number_of_classes(capsys):
    assert main(["validate", str(sample("ntu60_hrnet")), "--layout", "openpose", "--num-classes", "2"]) == 1
    printed = capsys.readouterr().out
    assert "error [layout-differs], 40 times" in printed
    assert "expected 0 to 1 for 2 classes" in printed


def test_validate_looks_into_the_kpfiles_that_are_named(capsys):
    index, kpfiles = str(sample("k400_hrnet")), str(sample("k400_kpfiles"))
    assert main(["validate", index]) == 0
    assert "note [kpfiles-not-read], 12 times" in capsys.readouterr().out
    assert main(["validate", index, "--kpfiles", kpfiles]) == 0
    assert "kpfiles-not-read" not in capsys.readouterr().out
    assert main(["validate", index, "--kpfiles", "no/such/folder"]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_a_damaged_file_in_a_folder_does_not_hide_the_others(tmp_path, capsys):
    clip = {"frame_dir": "a", "label": "wave", "total_frames": 2, "keypoint": np.zeros((1, 2, 17, 2))}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(clip))
    (tmp_path / "b.pkl").write_bytes(b"<html>")
    (tmp_path / "c.pkl").write_bytes(pickle.dumps({"split": {}, "annotations": []}))
    assert main(["validate", str(tmp_path)]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "error [unreadable], 2 times" in printed
    assert "b.pkl: " in printed
    assert "c.pkl is a whole data set" in printed
    assert "error [label-type]" in printed


def test_the_help_of_validate_tells_the_exit_status(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["validate", "--help"])
    assert "Exit status: 0 without errors" in capsys.readouterr().out


def test_an_unknown_data_set_is_told_with_those_that_are_known(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["validate", str(sample("ntu60_3danno")), "--dataset", "ntu61"])
    assert "invalid choice: 'ntu61' (choose from " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["describe", "validate"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (pickle.dumps(print), "builtins.print"),
        (pickle.dumps((1, 2)), "holds a tuple"),
        (None, "no such file"),
    ],
    ids=["empty", "unsafe", "of another form", "missing"],
)
def test_a_file_that_cannot_be_opened_gives_one_sentence_and_status_2(command, content, message, tmp_path, capsys):
    if content is not None:
        (tmp_path / "data.pkl").write_bytes(content)
    assert main([command, str(tmp_path / "data.pkl")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert "data.pkl" in printed.err


def test_the_module_runs_as_a_command():
    done = subprocess.run([sys.executable, "-m", "pysklnb", "--help"], capture_output=True, text=True, check=True)
    assert "describe" in done.stdout
    assert "validate" in done.stdout


def test_a_name_that_the_terminal_does_not_know_is_escaped(tmp_path):
    (tmp_path / "data.pkl").write_bytes(pickle.dumps([{"frame_dir": "\u65e5", "label": 3}]))
    command = [sys.executable, "-m", "pysklnb", "validate", str(tmp_path / "data.pkl")]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "keypoint of \\u65e5" in done.stdout
    assert done.stderr == ""
