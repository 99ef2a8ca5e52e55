import re

import pytest

from pysklnb import FormatError, validate
from pysklnb.report import MOST_SHOWN, MOST_STORED, RULES, Findings


def report_of(*added, clips=3):
    findings = Findings()
    for code, where, message, *more in added:
        findings.add(code, where, message, *more)
    return findings.report("data.pkl", clips)


MIXED = report_of(
    ("no-split", "split", "found no split"),
    ("label-type", "annotations[0].label", "found 'x', expected an int", "a"),
    ("slots-swap", "annotations[0].keypoint", "found 3 changes of place from one frame to the next", "a"),
    ("normalised", "annotations[1].keypoint", "found x from 0.00 to 0.90", "b"),
    ("label-type", "annotations[1].label", "found 'y', expected an int", "b"),
)


@pytest.mark.parametrize("code", RULES)
def test_a_rule_has_a_stable_code_a_severity_and_sentences(code):
    rule = RULES[code]
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", code)
    assert rule.severity in ("error", "warning", "note")
    assert rule.title[0].islower() or rule.title[0] in "2CVN"
    assert not rule.title.endswith(".")
    assert rule.hint[0].isupper() or rule.hint.startswith("2D")
    assert rule.hint.endswith(".")


def test_the_rules_show_themselves_as_a_table_made_from_them():
    html, text = RULES._repr_html_(), repr(RULES)
    assert html.count("<tr>") == len(RULES) + 1
    assert len(text.splitlines()) == len(RULES)
    for code, rule in RULES.items():
        assert f">{code}</code>" in html
        assert re.search(rf"^{code} +{rule.severity} +{re.escape(rule.title)}$", text, re.MULTILINE)


def test_the_text_has_the_gravest_first_with_places_and_what_to_do():
    assert str(MIXED).splitlines() == [
        "data.pkl: 3 clips, 2 errors, 1 warning, 2 notes",
        "  error [label-type], 2 times: a label is not an int",
        "      annotations[0].label of a: found 'x', expected an int",
        "      annotations[1].label of b: found 'y', expected an int",
        "      What to do: Number the classes from 0: label = names.index(name).",
        "  warning [normalised]: coordinates look normalised to 0...1",
        "      annotations[1].keypoint of b: found x from 0.00 to 0.90",
        "      What to do: Multiply x by the width and y by the height: pixels are expected.",
        "  note [no-split]: there is no split",
        "      split: found no split",
        "      What to do: Before training, add 'split': {'train': [ids], 'val': [ids]}.",
        "  note [slots-swap]: persons seem to change slots",
        "      annotations[0].keypoint of a: found 3 changes of place from one frame to the next",
        "      What to do: Track persons if it matters: a slot is a place, not a person.",
    ]


def test_findings_are_in_the_order_they_were_found():
    codes = [finding.code for finding in MIXED.findings]
    assert codes == ["no-split", "label-type", "slots-swap", "normalised", "label-type"]


def test_the_text_fits_a_terminal_of_100_columns():
    report = report_of(("unreadable", "", "word " * 100), ("label-type", "x" * 300, "found 'x'"))
    assert max(map(len, str(report).splitlines())) <= 100


def test_only_errors_make_a_report_not_ok():
    assert not MIXED.ok
    assert report_of(("normalised", "", "x"), ("people", "", "x")).ok
    assert report_of().ok


def test_a_report_without_findings_is_one_line():
    report = report_of(clips=1)
    assert str(report) == "data.pkl: 1 clip, 0 errors, 0 warnings, 0 notes"
    assert report._repr_html_() == f"<p><b>{report}</b></p>"


def test_of_many_findings_the_first_are_kept_fewer_are_shown_and_all_are_counted():
    report = report_of(*[("label-type", f"annotations[{number}].label", "found 'x'") for number in range(5000)])
    assert report.counts == {"label-type": 5000}
    assert [finding.where for finding in report.findings] == [f"annotations[{n}].label" for n in range(MOST_STORED)]
    assert str(report).count("annotations[") == MOST_SHOWN
    for shown in (str(report), report._repr_html_()):
        assert "5,000" in shown
        assert "and 4,997 more" in shown


def test_different_hints_of_one_code_are_all_shown():
    report = report_of(("label-type", "a", "found 1.0"), ("label-type", "b", "found int64 []", None, "Make it an int."))
    assert "names.index(name). Make it an int." in str(report)


def test_raise_for_errors_tells_the_errors_and_nothing_else():
    with pytest.raises(FormatError, match=r"2 errors.*\n  error \[label-type\], 2 times") as raised:
        MIXED.raise_for_errors()
    assert "normalised" not in str(raised.value)
    report_of(("normalised", "", "x")).raise_for_errors()


def test_the_frame_has_a_row_a_finding():
    frame = MIXED.to_frame()
    assert frame.columns.tolist() == ["code", "severity", "where", "frame_dir", "message", "hint"]
    assert frame.code.tolist() == [finding.code for finding in MIXED.findings]
    assert frame.frame_dir.tolist()[1:] == ["a", "a", "b", "b"]
    assert report_of().to_frame().columns.tolist() == frame.columns.tolist()


def test_html_from_the_file_is_escaped():
    evil = "<script>alert('&')</script>"
    clip = {"frame_dir": evil, "label": evil, "img_shape": evil, evil: evil}
    report = validate({"split": {evil: [evil, "b"]}, "annotations": [clip]})
    html = report._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("frame_dir", "shown"),
    [
        ("a", "x of a: y"),
        ("é", "x of é: y"),
        ("\ud800", "x of '\\ud800': y"),
        ("a\nb", "x of 'a\\nb': y"),
        (None, "x: y"),
    ],
    ids=["plain", "accent", "surrogate", "newline", "none"],
)
def test_any_id_can_be_shown(frame_dir, shown):
    report = report_of(("label-type", "x", "y", frame_dir))
    assert str(report.findings[0]) == shown
    assert str(report).encode()


def test_a_long_id_is_cut_where_it_is_shown():
    (found,) = report_of(("label-type", "x", "y", "a" * 1000)).findings
    assert found.frame_dir == "a" * 1000
    assert len(str(found)) < 100
