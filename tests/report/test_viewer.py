"""In a real browser: switches change maps and figures to those of the combination; nothing is fetched, nothing overflows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dis2.config.data import Data
from dis2.config.report import ReportSettings
from dis2.report.page import report

from .browser import Browser
from .test_page import scores, viewer

pytestmark = [pytest.mark.slow, pytest.mark.service]

IMAGE = 'document.querySelector(\'[data-panel="{}"] img\').getAttribute("src")'
STATUS = 'document.querySelector("#status").textContent'


@pytest.fixture(params=[1280, 400])
def browser(request: pytest.FixtureRequest, needs: Callable[[str, str], str], data: Data, results: Path, tmp_path: Path):
    page = results / "report/index.html"
    report(data, ReportSettings(scenes={"maple": ()}), results, page)
    with Browser(needs("chromium", "apt-get install chromium"), tmp_path / "profile") as browser:
        browser.open(page, request.param)
        browser.page = page
        yield browser
        assert not browser.faults
        assert not browser.requests


def press(browser: Browser, sensor: str) -> None:
    browser.run(f"document.querySelector('[data-sensor={sensor}]').click()")


def image(browser: Browser, panel: str) -> str | None:
    return browser.run(IMAGE.format(panel))


def test_a_switch_changes_maps_and_figures_to_those_of_the_combination(browser: Browser, results: Path):
    held = viewer(browser.page)["scenes"]["maple"]["maps"]["dis2"]
    evaluated = scores(results)["combinations"]
    for sensor, combination in ((None, "optical+sar+dsm"), ("optical", "sar+dsm")):
        if sensor:
            press(browser, sensor)
        for panel in ("prediction", "confidence", "error"):
            assert image(browser, panel) == held[combination][panel]
        assert f"mIoU {100 * evaluated[combination]['scores']['miou']:.1f} %" in browser.run(STATUS)
        bar = browser.run('document.querySelector("#bars .bar .value").textContent')
        assert bar.startswith(f"{100 * evaluated[combination]['scores']['iou']['building']:.1f} %")


def test_what_was_not_mapped_has_figures_and_says_so(browser: Browser, results: Path):
    press(browser, "optical")
    press(browser, "sar")
    assert image(browser, "prediction") is None
    text = browser.run("document.querySelector('[data-panel=\"prediction\"]').textContent")
    assert "not mapped from dsm" in text
    assert f"{100 * scores(results)['combinations']['dsm']['scores']['miou']:.1f} %" in browser.run(STATUS)
    assert browser.run("document.querySelector('[data-sensor=dsm]').disabled")


def test_the_method_changes_map_and_figures(browser: Browser, results: Path):
    held = viewer(browser.page)["scenes"]["maple"]["maps"]["sensor-dropout"]
    browser.run(
        '{const s = document.querySelector("#method"); s.value = "sensor-dropout"; s.dispatchEvent(new Event("change"));}'
    )
    assert image(browser, "prediction") == held["optical+sar+dsm"]["prediction"]
    miou = scores(results, "sensor-dropout")["combinations"]["optical+sar+dsm"]["scores"]["miou"]
    assert f"{100 * miou:.1f} %" in browser.run(STATUS)


def test_classes_are_read_off_by_keyboard(browser: Browser):
    browser.run("Promise.all([...document.querySelectorAll('#maps img')].map((image) => image.decode()))")
    browser.run("document.querySelector('[data-panel=\"truth\"]').focus()")
    browser.ask("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    assert browser.run('document.querySelector("#probe").textContent').startswith("Here: truth ")
    assert "not known" not in browser.run('document.querySelector("#probe").textContent')


def test_nothing_overflows_the_width(browser: Browser):
    browser.run("document.querySelectorAll('details').forEach((one) => one.open = true)")
    assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_on_paper_nothing_is_cut_off(browser: Browser):
    browser.ask("Emulation.setEmulatedMedia", media="print")
    browser.ask("Emulation.setDeviceMetricsOverride", width=718, height=900, deviceScaleFactor=1, mobile=False)  # A4
    tables = browser.run("[...document.querySelectorAll('table, .drawing svg')].map((it) => it.getBoundingClientRect().right)")
    assert len(tables) > 15 and max(tables) <= 718


def test_the_text_of_drawings_can_be_read(browser: Browser):
    """In pixels of the page; a letter of 13 in a drawing is smaller where the drawing is made to fit."""
    browser.run("document.querySelectorAll('details').forEach((one) => one.open = true)")
    sizes = browser.run("[...document.querySelectorAll('.chart text')].map((it) => 13 * it.getScreenCTM().d || 13)")
    assert len(sizes) > 100 and min(sizes) >= 10 and max(sizes) <= 17


def test_switches_work_by_keyboard_and_say_their_state(browser: Browser):
    browser.run("document.querySelector('[data-sensor=sar]').focus()")
    for kind in ("keyDown", "keyUp"):
        text = {"text": "\r"} if kind == "keyDown" else {}
        browser.ask("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, **text)
    assert browser.run("document.querySelector('[data-sensor=sar]').getAttribute('aria-checked')") == "false"
    assert "without sar" in browser.run(STATUS)
