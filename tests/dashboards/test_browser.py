"""The report in a real browser: headless Chromium, driven by Playwright."""

import os
import re
import shutil
from pathlib import Path

import dashboard_samples as samples
import numpy as np
import pytest
import torch
from planted import planted_ssae, planted_store

from ssae_lens.dashboards import Report, build_report, write_report
from ssae_lens.sae import SSAE

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

EVIL = "</script><img src=x onerror=alert(1)>"
TABS = ("overview", "latents", "comparison", "decomposition")
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
QUIET = (*QUIET, "--disable-sync", "--no-first-run")
# Where screenshots are kept; a folder that outlives the run is named by the environment.
SCREENSHOTS = "SSAE_LENS_SCREENSHOTS"


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("There is no Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    folder = Path(os.environ.get(SCREENSHOTS) or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write each report once."""
    kept = {}

    def write(name, make):
        if name not in kept:
            kept[name] = write_report(make(), tmp_path_factory.mktemp("reports") / f"{name}.html")
        return kept[name]

    return write


@pytest.fixture(scope="module")
def complaints():
    return []


@pytest.fixture(autouse=True)
def _nothing_was_complained_of(complaints):
    yield
    said = complaints[:]
    complaints.clear()
    assert not said


@pytest.fixture(scope="module")
def opened(browser, complaints):
    """Open a page that may ask for nothing but itself, and must neither complain nor run what it is not meant to."""

    def open_page(path, place="", size="desktop", theme="light"):
        page = browser.new_page(viewport=SIZES[size], color_scheme=theme)

        def route(asked):
            if asked.request.url.partition("#")[0] != path.as_uri():
                complaints.append(f"asked for {asked.request.url}")
                asked.abort()
            else:
                asked.continue_()

        page.route("**/*", route)
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(f"{path.as_uri()}{place}")
        return page

    return open_page


@pytest.fixture(scope="module")
def full(opened, written):
    """The full report, which the tests that take it go about in one after the other."""
    return opened(written("full", samples.full_report))


@pytest.fixture
def page(full):
    full.set_viewport_size(SIZES["desktop"])
    full.emulate_media(color_scheme="light")
    full.get_by_role("searchbox").fill("")
    go(full, "overview")
    return full


def unlabelled():
    """A report of pairs without labels, whose latents are known by the words that change with them."""
    store = planted_store(labels=None, concepts=[], noise=0.3)
    return build_report(planted_ssae(), store, quiet=True)


def go(page, place):
    """Go to a place in the page, and wait until the page has gone there."""
    page.evaluate(
        """place => new Promise((done) => {
            if (location.hash === "#" + place) done();
            addEventListener("hashchange", () => done(), { once: true });
            location.hash = place;
        })""",
        place,
    )


def draw_all(page):
    """Bring every figure of the open tab into view, so that it is drawn."""
    for plot in page.locator(".plot:visible").all():
        plot.scroll_into_view_if_needed()
        plot.locator(".main-svg").first.wait_for()
    page.evaluate("scrollTo(0, 0)")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_tab_shows_all_it_has(page, shots, size, theme):
    page.set_viewport_size(SIZES[size])
    page.emulate_media(color_scheme=theme)
    for place, figures in (("overview", 5), ("latent-0", 3), ("comparison", 2), ("decomposition", 2)):
        go(page, place)
        draw_all(page)
        assert page.locator(".plot:visible").count() == figures
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        page.screenshot(path=shots / f"{place}-{size}-{theme}.png", full_page=True)
    ground = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[theme]


def test_tabs_by_mouse_and_keyboard(page):
    for tab in reversed(TABS):
        page.get_by_role("tab", name=tab.capitalize()).click()
        page.locator(f"#panel-{tab}").wait_for()
        assert page.locator("[role=tabpanel]:visible").count() == 1
    page.locator("#tab-overview").focus()
    for key, tab in (
        ("ArrowLeft", "decomposition"),
        ("ArrowRight", "overview"),
        ("End", "decomposition"),
        ("Home", "overview"),
        ("ArrowRight", "latents"),
    ):
        page.keyboard.press(key)
        page.locator(f"#panel-{tab}").wait_for()
        assert page.evaluate("document.activeElement.id") == f"tab-{tab}"
        assert page.locator(f"#tab-{tab}").get_attribute("aria-selected") == "true"
        assert page.locator("[role=tab][tabindex='0']").count() == 1


def test_a_deep_link_lands(opened, written):
    path = written("full", samples.full_report)
    page = opened(path, "#latent-2")
    assert page.get_by_role("heading", name="Latent 2: polarity").is_visible()
    assert page.title().startswith("Latent 2")
    page.get_by_role("link", name="3 politeness →").click()
    page.get_by_role("heading", name="Latent 3").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "H2"
    page.go_back()
    page.get_by_role("heading", name="Latent 2").wait_for()
    go(page, "latent-99")
    page.get_by_text("There is no latent 99").wait_for()


def test_search_narrows_and_enter_opens(page):
    page.get_by_role("searchbox").fill("polite")
    assert [each.splitlines()[0] for each in page.locator(".list li").all_inner_texts()] == ["3 politeness"]
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Latent 3: politeness").wait_for()
    page.get_by_role("searchbox").fill("no such thing")
    assert page.locator(".list li").count() == 0
    assert "0 of 6 latents" in page.locator(".list").inner_text()


def test_search_from_another_tab_leaves_no_tab_out_of_reach(page):
    page.get_by_role("searchbox").fill("tense")
    page.locator(".list").get_by_role("link", name="0 tense").wait_for()
    page.get_by_role("tab", name="Overview").click()
    page.locator("#panel-overview").wait_for()
    assert page.title() == "Six latents"


@pytest.mark.parametrize("place", ["constructor", "latent-", "%00", "latent-1e3"])
def test_an_address_that_means_nothing_is_the_overview(page, place):
    go(page, place)
    page.locator("#panel-overview").wait_for()


def test_a_latents_page(page):
    go(page, "latent-0")
    first = page.locator("ol.pairs li").first
    assert "walks" in first.locator("del").first.inner_text()
    assert "walked" in first.locator("ins").first.inner_text()
    assert page.locator("code").first.inner_text() == "␣up"
    slider = page.get_by_role("slider")
    slider.focus()
    for expected in ("went 0", "went -0.5"):
        page.keyboard.press("ArrowLeft")
        assert expected in page.locator("blockquote").first.inner_text()
    assert slider.get_attribute("aria-valuetext") == "scale −0.5"
    draw_all(page)
    marks = page.locator("#panel-latents .plot").nth(2).evaluate("plot => plot.layout.shapes.map((shape) => shape.x0)")
    assert marks == [-0.5]


def test_the_overviews_table_sorts(page):
    shown = page.locator("#panel-overview tbody tr td:first-child")
    strengths = samples.full_report().latents
    assert [int(each) for each in shown.all_inner_texts()] == sorted(range(6), key=lambda i: -strengths[i]["strength"])
    page.get_by_role("button", name="latent", exact=True).click()
    assert [int(each) for each in shown.all_inner_texts()] == list(range(6))
    page.get_by_role("button", name="latent", exact=True).click()
    assert [int(each) for each in shown.all_inner_texts()] == list(range(5, -1, -1))
    page.get_by_role("link", name="3", exact=True).click()
    page.get_by_role("heading", name="Latent 3").wait_for()


def test_a_changed_word_finds_its_latent(opened, written):
    page = opened(written("unlabelled", unlabelled), "#latents")
    assert page.get_by_role("tab").all_inner_texts() == ["Overview", "Latents"]  # nothing is compared or decomposed
    assert page.locator(".list li").first.inner_text().startswith("0 ")
    page.get_by_role("searchbox").fill("queen")
    (found,) = page.locator(".list li").all_inner_texts()
    assert "king → queen" in found
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Latent 2").wait_for()
    assert page.locator(".words").inner_text() == "king → queen"


def test_keys_go_from_latent_to_latent(opened, written):
    page = opened(written("unlabelled", unlabelled), "#latent-1")
    for key, latent in (("j", 2), ("j", 3), ("k", 2), ("k", 1), ("k", 0), ("k", 0)):
        page.keyboard.press(key)
        page.get_by_role("heading", name=f"Latent {latent}").wait_for()
    page.get_by_role("searchbox").fill("jk")  # typed, not followed
    assert page.get_by_role("heading", name="Latent 0").is_visible()


def test_only_active_latents_are_listed_on_request(opened, written):
    page = opened(written("unlabelled", unlabelled), "#latents")
    everything = page.locator(".list li").count()
    page.get_by_label("Active in").select_option("0.2")
    fewer = page.locator(".list li").count()
    assert 0 < fewer < everything
    assert f"{fewer} of {everything} latents" in page.locator(".list").inner_text()


def test_a_link_and_a_vector_are_copied(opened, written):
    page = opened(written("unlabelled", unlabelled), "#latent-1")
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', "
        "{ value: { writeText: async (text) => { window.copied = text; } } })"
    )
    page.get_by_role("button", name="Copy vector").click()
    page.get_by_role("button", name="Copied").wait_for()
    np.testing.assert_allclose(page.evaluate("JSON.parse(copied)"), planted_ssae().W_dec[1].detach(), rtol=1e-4)
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_function("copied.endsWith('#latent-1')")


def test_terms_are_explained(page):
    page.locator(".terms summary").click()
    assert "share of pairs whose code is not zero" in page.locator(".terms").inner_text()


def test_choices_change_what_is_shown(page):
    go(page, "comparison")
    assert page.locator("td.best").count() == 1  # of two tasks, one on which intervals are apart
    assert "walked home, caa wrote." in page.locator("#panel-comparison").inner_text()
    page.get_by_label("Task", exact=True).select_option(label="number")
    page.get_by_text("No steered texts for this task.").wait_for()
    go(page, "decomposition")
    page.get_by_label("Vector", exact=True).select_option(label="caa number")
    assert page.locator("#panel-decomposition figure").count() == 2


def test_every_figure_has_its_words_and_its_numbers(page):
    for tab in TABS:
        go(page, tab)
        for figure in page.locator(f"#panel-{tab} figure").all():
            assert len(figure.locator("[role=img]").get_attribute("aria-label")) > 30
            figure.locator("summary").click()
            assert re.search(r"\d", figure.locator("tbody").inner_text())


def test_a_change_of_theme_redraws(page):
    go(page, "comparison")
    draw_all(page)
    colour = "getComputedStyle(document.querySelector('#panel-comparison .xtick text')).fill"
    before = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.locator("#panel-comparison .plot:not(.js-plotly-plot)").first.wait_for(state="detached")
    draw_all(page)
    page.locator("#panel-comparison .xtick text").first.wait_for(state="attached")
    assert page.evaluate(colour) != before


def test_the_policy_refuses_requests_and_other_scripts(page, complaints):
    sent = page.evaluate("fetch('https://example.org').then(() => 'sent', () => 'refused')")
    ran = page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            script.remove();
            return window.ran === true;
        }"""
    )
    assert (sent, ran) == ("refused", False)
    assert complaints
    assert all("Content Security Policy" in each for each in complaints)
    complaints.clear()


def test_text_is_text_and_nothing_else(opened, written, shots):
    """Whatever comes from outside is shown as it is: no markup of it is made, and nothing runs."""
    path = written("evil", lambda: samples.full_report(token=EVIL))
    assert EVIL.encode() not in path.read_bytes()
    page = opened(path)
    assert page.locator("h1").inner_text() == f"Six latents{EVIL}"
    for place in ("overview", "latent-0", "comparison", "decomposition"):
        go(page, place)
        draw_all(page)
        for summary in page.locator("summary:visible").all():
            summary.click()
        panel = page.locator("[role=tabpanel]:visible")
        assert EVIL in panel.inner_text()
        assert panel.locator("img, script, iframe").count() == 0
    assert page.locator("script").count() == 3
    page.screenshot(path=shots / "evil.png", full_page=True)


def nothing():
    return Report("Nothing yet")


def one():
    ssae = SSAE.from_weights(torch.eye(4)[:, :1], torch.eye(4)[:1])
    return Report("One latent").add_latents(ssae, torch.randn(20, 4))


def broken():
    """A latent of NaN, one that never fires, and tables with holes."""
    ssae = samples.ssae(4, dead=(2,))
    ssae.W_dec.data[1] = torch.nan
    ssae.W_enc.data[:, 1] = torch.nan
    holes = [
        {"task": "a", "method": m, "scale": s, "behaviour": np.nan if s else 0.5, "coherence": 0.5}
        for m in "xy"
        for s in (0.0, 1.0)
    ]
    steering = [{"latent": 0, "scale": s, "behaviour": np.nan, "coherence": s} for s in (0.0, 1.0)]
    report = Report("Broken").add_latents(
        ssae, samples.store(), stability=np.array([1, np.nan, 0, 1]), steering=steering
    )
    report.add_sweep(
        [{"d_sae": 4, "level": 0.1, "udr_decoders": np.nan}, {"d_sae": 8, "level": 0.1, "udr_decoders": 0.5}]
    )
    report.add_training([{"step": 1, "loss": np.nan, "sparsity": 0.1}, {"step": 2, "loss": 1.0, "sparsity": 0.1}])
    return report.add_comparison(
        [*holes, {"task": "a", "method": "prompt", "scale": None, "behaviour": 0.4, "coherence": 0.9}]
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            nothing,
            ["This report has no latents."],
        ),
        (
            one,
            ["1 latent;", "No other latents."],
        ),
        (broken, ["NaN or infinity", "never active"]),
    ],
    ids=["nothing", "one", "broken"],
)
def test_what_is_missing_or_broken_is_said(opened, written, make, words):
    page = opened(written(make.__name__, make))
    said = ""
    for place in ("overview", "latents", "latent-0", "latent-1", "latent-2", "comparison", "decomposition"):
        go(page, place)
        draw_all(page)
        said += page.locator("main").inner_text()
    assert all(each in said for each in words)
    assert "NaN" not in said.replace("NaN or infinity", "")
    assert "undefined" not in said


def many(k=4096, d=64):
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(k, d, generator=generator)
    report = Report("Many").add_latents(SSAE.from_weights(W.T.contiguous(), W), torch.randn(64, d, generator=generator))
    pair = {
        "row": 0,
        "code": 1.0,
        "source": "before " * 20,
        "target": "after " * 20,
        "source_spans": [(0, 6)],
        "target_spans": [(0, 5)],
    }
    for detail in report.details.values():
        detail["positive"] = [pair] * 8
    return report


def test_thousands_of_latents(opened, written):
    path = written("many", many)
    assert path.stat().st_size < 8_000_000
    page = opened(path)
    draw_all(page)
    page.get_by_role("button", name="Show 500 more").click()
    assert page.locator("#panel-overview tbody tr").count() == 550
    page.get_by_role("searchbox").fill("4095")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Latent 4095").wait_for()
    weakest = page.evaluate("REPORT.latents.reduce((a, b) => (b.strength < a.strength ? b : a)).latent")
    go(page, f"latent-{weakest}")
    page.get_by_text("The page of this latent was left out to limit the size of the file").wait_for()
