"""The page in a real browser: no network, no complaint, by keyboard, on a phone, and a model's text stays text."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from chromium import Tab, browser, find_chromium
from report_sample import further_keys, many_records

from globe.evaluation.compare import compare
from globe.figures.metrics import summarize
from globe.report import EvaluationView
from globe.report.evaluation_report import write_evaluation_report, write_framed_report
from globe.report.training_page import write_training_page
from globe.run.stage import Outcome, StageResult

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed (apt-get install chromium)")
WIDTHS_PX = (390, 1280)
ATTACK = "document.title='attacked'"
HOSTILE = (
    f'</blockquote></section></style></title><script>{ATTACK}</script><img src=x onerror="{ATTACK}"><svg onload={ATTACK}>'
    f'<a href="javascript:{ATTACK}">go</a><style>*{{display:none}}</style><iframe srcdoc="<script>parent.{ATTACK}</script>">'
    "' onfocus=\"document.title='attacked'\" autofocus x='<!-- \x00\x1b[2J\u2028\u202egpj.exe\u2066 \ud800 {{7*7}} ]]> "
    + "W"
    * 900
)


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Two evaluations of 300 pictures side by side, with figures in every key."""
    first, second = many_records(300, seed=1), many_records(300, seed=1)
    for record in first[::3]:
        record |= {"status": "no_answer", "answer": "", "lat_deg": None, "lon_deg": None, "distance_km": None}
    metrics = [summarize(records, rounds=20) | further_keys(300) | {"model": "m"} for records in (first, second)]
    views = [EvaluationView("before", metrics[0], first), EvaluationView("after", metrics[1], second)]
    views[1] = replace(views[1], change=compare(first, second, rounds=20))
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_evaluation_report(path, views, None)
    return path


def hostile(value):
    """The same figures with every text replaced by an attack."""
    if isinstance(value, dict):
        return {key: hostile(one) for key, one in value.items()} | ({"extra" + HOSTILE: HOSTILE} if "model" in value else {})
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return HOSTILE if isinstance(value, str) else value


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory) -> Path:
    """An evaluation in which everything that can be text is an attack."""
    records = many_records(40)
    metrics = summarize(records, rounds=5) | further_keys(40)
    for record in records:
        record |= {"answer": f"<think>{HOSTILE}</think><answer>country: {HOSTILE}\ncity: x</answer>", "error": HOSTILE}
        record |= {"country": HOSTILE, "city": HOSTILE, "id": record["id"] + HOSTILE}
        record["truth"] |= {"country": HOSTILE, "city": HOSTILE}
    slices = {HOSTILE: {HOSTILE: {"n": 1, "accuracy": {"25": 0.0}}}}
    told = hostile(metrics) | {"slices": slices, "errors": {HOSTILE: 2}, "warnings": [HOSTILE], "failures": {HOSTILE: 1}}
    told["dataset"] = hostile(metrics["dataset"]) | {"unusable": {HOSTILE: {"n": 3, "first": [HOSTILE]}}}
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    write_evaluation_report(path, [EvaluationView(HOSTILE, told, records)], None)
    return path


def overflow(tab: Tab) -> int:
    """By how many pixels the page is wider than the window."""
    return tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_the_page_asks_for_nothing_complains_of_nothing_and_fits(tab, page, width_px, dark):
    tab.open(page.as_uri(), width_px, dark=dark)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert overflow(tab) <= 0
    assert tab.requested == []
    assert tab.complaints == []


def test_every_section_can_be_reached_and_is_named(tab, page):
    tab.open(page.as_uri(), 1280)
    anchors = tab.evaluate("[...document.querySelectorAll('nav a')].map(one => one.getAttribute('href'))")
    assert len(anchors) >= 9
    for anchor in anchors:
        tab.evaluate(f"document.querySelector('nav a[href=\"{anchor}\"]').click()")
        assert tab.evaluate(f"document.querySelector('{anchor} h2').innerText.length") > 5
        assert tab.evaluate("location.hash") == anchor


def test_the_keyboard_reaches_everything_that_can_be_used(tab, page):
    tab.open(page.as_uri(), 1280)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    wanted = """[...document.querySelectorAll('a[href], summary, [tabindex="0"], input:checked')]
        .filter(one => one.checkVisibility()).map((one, i) => (one.dataset.at = i))"""
    count = len(tab.evaluate(wanted))
    assert count > 60
    reached = set()
    for _ in range(2 * count + 40):
        tab.press("Tab", 9)
        at, seen = tab.evaluate(
            """(() => { const one = document.activeElement, label = one.labels?.[0] ?? one;
            const outlined = getComputedStyle(label).outlineStyle != 'none', box = label.getBoundingClientRect();
            return [one.dataset.at ?? '', outlined && box.width > 0 && box.height > 0]; })()"""
        )
        if at and at in reached:
            break
        if at:
            assert seen, f"the focus cannot be seen on element {at}"
            reached.add(at)
    assert len(reached) == count


def test_enter_opens_what_is_folded_and_arrows_change_the_map(tab, page):
    tab.open(page.as_uri(), 390)
    tab.evaluate("document.querySelector('summary').focus()")
    tab.press("Enter", 13)
    assert tab.evaluate("document.querySelector('details').open") is True
    tab.evaluate("document.querySelector('input[name=map]:checked').focus()")
    tab.press("ArrowLeft", 37)
    assert tab.evaluate("document.querySelector('#map-1').checked") is True
    assert tab.evaluate("document.querySelectorAll('.panel')[0].checkVisibility()") is True


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_a_models_text_runs_nothing_and_breaks_nothing(tab, hostile_page, width_px):
    tab.open(hostile_page.as_uri(), width_px)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    for name in ("all", "right", "wrong", "unplaced"):
        tab.evaluate(f"document.querySelector('#show-{name}')?.click()")
    foreign = "document.querySelectorAll('script, iframe, [onerror], [onload], [onfocus], a[href^=\"javascript\" i]').length"
    assert tab.evaluate(foreign) == 0
    assert not tab.evaluate("document.title").startswith("attacked")
    assert tab.evaluate("document.querySelector('footer').checkVisibility()") is True
    assert tab.evaluate("[...document.querySelectorAll('main > section')].length") >= 8
    assert overflow(tab) <= 0
    assert tab.requested == []
    assert tab.complaints == []
    assert not re.search("[\x00\x1b\u202e\u2066]", tab.evaluate("document.body.textContent"))


def test_the_page_works_inside_a_frame_that_forbids_everything(tab, page, tmp_path):
    """As the viewer of Kubeflow Pipelines shows it."""
    frame = tmp_path / "viewer.html"
    text = page.read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
    frame.write_text(f'<!doctype html><iframe sandbox srcdoc="{text}" width=900 height=700></iframe>', encoding="utf-8")
    tab.open(frame.as_uri(), 1280)
    (inside,) = tab.frames()
    assert tab.evaluate("document.querySelector('h1').innerText", inside) == "before · after"
    assert tab.evaluate("document.querySelector('#distances svg').getBoundingClientRect().width > 400", inside) is True
    assert tab.requested == []
    assert tab.complaints == []


def test_twelve_thousand_pictures_stay_under_five_megabytes_and_open(tab, tmp_path):
    records = many_records(12_000)
    figures = {"n": 6, "accuracy": {"25": 50.0}}
    slices = {"country": {f"Country {i}": figures | {"n": 12_000 - i} for i in range(145)}}
    metrics = {"n": 12_000, "accuracy": {"25": 50.0}, "slices": slices} | further_keys(12_000)
    path = tmp_path / "report.html"
    write_evaluation_report(path, [EvaluationView("large", metrics, records)], None)
    assert path.stat().st_size + 56 * 30_000 < 5_000_000, "with 56 pictures of 30 kB, which are larger than any thumbnail"
    tab.open(path.as_uri(), 390)
    assert tab.complaints == []
    assert overflow(tab) <= 0


def in_kfps_ui(tab: Tab, page: Path, folder: Path) -> str:
    """Open a page as KFP's UI shows an HTML artifact (HTMLViewer.tsx); returns the session of its frame."""
    frame = f'<iframe sandbox="allow-scripts" style="width:100%;height:600px" srcdoc="{html.escape(page.read_text())}"></iframe>'
    (folder / "ui.html").write_text(f"<!doctype html>{frame}")
    tab.open((folder / "ui.html").as_uri(), 1280)
    (session,) = tab.frames()
    return session


def test_the_report_is_whole_in_the_frame_of_kfps_ui(tab, tmp_path):
    records = many_records(300)
    view = EvaluationView("after", summarize(records, rounds=20) | further_keys(300) | {"model": "m"}, records)
    write_framed_report(tmp_path / "page.html", [view], None, "/store/report.html")
    session = in_kfps_ui(tab, tmp_path / "page.html", tmp_path)
    drawn = "[...document.querySelectorAll('header use, .map use')].map(one => one.getBoundingClientRect().width)"
    widths = tab.evaluate(drawn, session)
    assert len(widths) == 2
    assert min(widths) > 300
    assert tab.evaluate("document.querySelectorAll('section').length", session) >= 8
    assert (tab.requested, tab.complaints) == ([], [])


def test_a_trainings_curves_are_drawn_in_the_frame_of_kfps_ui(tab, tmp_path):
    history = [{"step": step, "loss": 6 / step, "token_acc": step / 40} for step in range(1, 31)]
    (tmp_path / "history.json").write_text(json.dumps(history))
    write_training_page(str(tmp_path / "page.html"), StageResult("sft", "k", tmp_path, Outcome("done"), 1.0, reused=False))
    session = in_kfps_ui(tab, tmp_path / "page.html", tmp_path)
    boxes = (
        "[...document.querySelectorAll('svg .trend')].map(one => one.getBoundingClientRect()).map(box => [box.width, box.height])"
    )
    drawn = tab.evaluate(boxes, session)
    assert len(drawn) == 2
    assert all(width > 100 and height > 20 for width, height in drawn)
    assert (tab.requested, tab.complaints) == ([], [])
