import dataclasses
import pickle

import pytest

from pysklnb import layouts
from pysklnb.cards import catalog

NAMES = [
    "ntu60_hrnet",
    "ntu60_3danno",
    "ntu120_hrnet",
    "ntu120_3danno",
    "gym_hrnet",
    "ucf101_hrnet",
    "hmdb51_hrnet",
    "diving48_hrnet",
    "k400_hrnet",
]


def test_the_catalog_holds_the_nine_public_files_in_order():
    assert list(catalog) == NAMES
    assert len(catalog) == 9


@pytest.mark.parametrize("name", NAMES)
def test_a_card_agrees_with_its_name(name):
    card = catalog[name]
    assert card.name == name
    assert (card.layout, card.dimensions) == (("nturgb+d", 3) if name.endswith("3danno") else ("coco", 2))
    assert layouts.get(card.layout).name == card.layout


@pytest.mark.parametrize("name", NAMES)
def test_a_card_names_every_class(name):
    names = catalog[name].class_names
    assert len(names) == catalog[name].classes
    assert all(text and text == text.strip() for text in names)


@pytest.mark.parametrize(
    ("name", "label", "class_name"),
    [
        ("ntu60_3danno", 0, "drink water"),
        ("ntu60_3danno", 59, "walking apart from each other"),
        ("ntu120_hrnet", 60, "put on headphone"),
        ("ucf101_hrnet", 0, "ApplyEyeMakeup"),
        ("ucf101_hrnet", 100, "YoYo"),
        ("hmdb51_hrnet", 50, "wave"),
        ("k400_hrnet", 399, "zumba"),
    ],
    ids=lambda value: str(value),
)
def test_class_names_stand_in_label_order(name, label, class_name):
    assert catalog[name].class_names[label] == class_name


def test_two_classes_of_finegym_share_their_name():
    names = catalog["gym_hrnet"].class_names
    assert names[58] == names[70]
    assert len(set(names)) == 98


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("ntu60_hrnet", ("xsub_train", "xsub_val", "xview_train", "xview_val")),
        ("ntu120_3danno", ("xsub_train", "xsub_val", "xset_train", "xset_val")),
        ("hmdb51_hrnet", ("train1", "train2", "train3", "test1", "test2", "test3")),
        ("diving48_hrnet", ("train", "test")),
        ("k400_hrnet", ("train", "val")),
    ],
)
def test_splits_are_named_as_in_the_files(name, splits):
    assert catalog[name].splits == splits


def test_what_was_not_published_is_left_unknown():
    unknown = [name for name, card in catalog.items() if card.clips is None]
    assert unknown == ["ntu120_hrnet", "diving48_hrnet", "k400_hrnet"]
    assert catalog["ucf101_hrnet"].clips == 13_320


def test_an_unknown_name_is_a_key_error_that_lists_the_nearest():
    with pytest.raises(KeyError, match=r"no data set is named 'ntu60_hrnt' \(nearest: ntu60_hrnet"):
        catalog["ntu60_hrnt"]
    assert "ntu60_hrnt" not in catalog
    assert catalog.get("ntu60_hrnt") is None


def test_a_name_like_no_other_lists_all_names():
    with pytest.raises(KeyError, match=r"known: ntu60_hrnet, .*, k400_hrnet"):
        catalog["zzz"]


def test_catalog_and_cards_cannot_be_changed():
    with pytest.raises(TypeError, match="item assignment"):
        catalog["mine"] = catalog["gym_hrnet"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalog["gym_hrnet"].classes = 100


def test_a_card_survives_pickling():
    card = catalog["gym_hrnet"]
    assert pickle.loads(pickle.dumps(card)) == card


def test_a_card_shows_what_it_holds():
    assert repr(catalog["gym_hrnet"]) == (
        "Card(name='gym_hrnet', title='FineGYM', layout='coco', dimensions=2, classes=99, "
        "splits=('train', 'val'), clips=29005)"
    )


def test_the_catalog_is_a_table_of_one_line_a_file():
    head, *lines = repr(catalog).splitlines()
    assert head.split() == ["name", "data", "set", "layout", "dimensions", "classes", "clips", "splits"]
    assert [line.split()[0] for line in lines] == NAMES
    assert lines[5].split()[:6] == ["ucf101_hrnet", "UCF101", "coco", "2D", "101", "13,320"]
    assert "not published" in lines[7]


def test_the_catalog_is_a_table_in_a_notebook():
    html = catalog._repr_html_()
    assert html.count("<tr>") == 10
    assert html.count("<th ") == 7
    assert html.count("<td ") == 9 * 7
