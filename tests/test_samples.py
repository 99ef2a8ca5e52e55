import pytest

from pysklnb import samples
from pysklnb.samples import find, sample


@pytest.fixture
def miniatures(tmp_path, monkeypatch):
    """Bundle one file and the folder of kpfiles, whatever the package bundles."""
    folder = tmp_path / "miniatures"
    (folder / "k400_kpfiles").mkdir(parents=True)
    (folder / "ntu60_hrnet.pkl").touch()
    monkeypatch.setattr(samples, "MINIATURES", folder)
    return folder


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty folder that PYSKLNB_DATA names."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("PYSKLNB_DATA", str(folder))
    return folder


@pytest.mark.parametrize("name", ["ntu60_hrnet", "ntu60_3danno", "ucf101_hrnet", "k400_hrnet"])
def test_the_package_bundles_a_miniature(name):
    assert sample(name).is_file()
    assert sample(name).stat().st_size < 1_000_000


def test_the_package_bundles_a_folder_of_two_kpfiles():
    assert len(list(sample("k400_kpfiles").glob("*.pkl"))) == 2


def test_sample_gives_the_bundled_path_even_when_the_real_file_is_there(miniatures, data):
    (data / "ntu60_hrnet.pkl").touch()
    assert sample("ntu60_hrnet") == miniatures / "ntu60_hrnet.pkl"


@pytest.mark.parametrize("function", [sample, find])
def test_an_unknown_name_lists_the_nearest(function, miniatures):
    with pytest.raises(KeyError, match=r"'k400_kpfile' \(nearest: k400_kpfiles"):
        function("k400_kpfile")


@pytest.mark.parametrize("function", [sample, find])
def test_a_path_is_not_a_name(function, miniatures):
    with pytest.raises(KeyError, match=r"'../miniatures/ntu60_hrnet' \(nearest: ntu60_hrnet"):
        function("../miniatures/ntu60_hrnet")


def test_sample_lists_what_is_bundled_when_a_known_name_is_not(miniatures):
    message = "^no miniature of gym_hrnet is bundled; bundled are ntu60_hrnet, k400_kpfiles.$"
    with pytest.raises(FileNotFoundError, match=message):
        sample("gym_hrnet")


@pytest.mark.parametrize("name", ["ntu60_hrnet.pkl", "k400_kpfiles"], ids=["file", "folder"])
def test_find_gives_the_real_one_and_says_so(name, miniatures, data, capsys):
    real = data / name
    real.mkdir() if name == "k400_kpfiles" else real.touch()
    assert find(real.stem) == real
    assert capsys.readouterr().out == f"{real.stem}: the real file, {real}\n"


def test_find_gives_the_real_file_of_a_name_that_is_not_bundled(miniatures, data):
    (data / "gym_hrnet.pkl").touch()
    assert find("gym_hrnet") == data / "gym_hrnet.pkl"


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_find_gives_the_miniature_without_a_data_folder_and_says_so(value, miniatures, monkeypatch, capsys):
    if value is not None:
        monkeypatch.setenv("PYSKLNB_DATA", value)
    assert find("ntu60_hrnet") == miniatures / "ntu60_hrnet.pkl"
    assert capsys.readouterr().out == (
        "ntu60_hrnet: the bundled miniature (synthetic motion); "
        "set PYSKLNB_DATA to the folder that holds ntu60_hrnet.pkl to use the real file\n"
    )


def test_find_names_the_data_folder_that_lacks_the_file(miniatures, data, capsys):
    assert find("ntu60_hrnet") == miniatures / "ntu60_hrnet.pkl"
    assert capsys.readouterr().out == (
        "ntu60_hrnet: the bundled miniature (synthetic motion); "
        f"the folder in PYSKLNB_DATA, {data}, holds no ntu60_hrnet.pkl\n"
    )


def test_find_refuses_a_data_folder_that_is_missing(miniatures, tmp_path, monkeypatch):
    monkeypatch.setenv("PYSKLNB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"PYSKLNB_DATA is '.*nowhere', and there is no such folder"):
        find("ntu60_hrnet")


def test_find_reads_the_home_folder_in_the_variable(miniatures, data, monkeypatch):
    monkeypatch.setenv("HOME", str(data.parent))
    monkeypatch.setenv("PYSKLNB_DATA", "~/data")
    (data / "ntu60_hrnet.pkl").touch()
    assert find("ntu60_hrnet") == data / "ntu60_hrnet.pkl"


def test_find_says_what_to_do_when_neither_is_there(miniatures, capsys):
    message = r"no miniature of gym_hrnet .*\. For the real file: set PYSKLNB_DATA to the folder .* gym_hrnet\.pkl"
    with pytest.raises(FileNotFoundError, match=message):
        find("gym_hrnet")
    assert capsys.readouterr().out == ""
