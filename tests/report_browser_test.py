"""The report in a browser without a window: it works, on a phone too, and says nothing wrong."""

import shutil

import numpy as np
import pytest

from wsgcn_jax.report import cards, layers, page

webdriver = pytest.importorskip("selenium.webdriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="needs chromium and chromedriver",
    ),
]
HOSTILE = "</script><b onclick=alert(1)>&"
COLOURS = layers.class_colours(3)


def _photo(index, rng):
    """A drawn photo; every other one of class 2, every fourth of the validation split."""
    label = 1 + index % 2
    image = rng.integers(0, 256, (60, 90, 3), np.uint8)
    mask = np.zeros((60, 90), np.uint8)
    mask[10 : 20 + index, 20:60] = label
    truth = np.roll(mask, 5, axis=0)
    return {
        "name": f"{HOSTILE}{index:02}",
        "split": "val" if index % 4 == 3 else "train",
        "size": [90, 60],
        "classes": [label],
        "score": float(90 - 2 * index),
        "iou": {0: 90.0, label: 50.0 + index},
        "doubt": None,
        "photo": layers.photo(image),
        "layers": {
            "cam": layers.class_scores(np.ones((1, 15, 23)), np.array([label]), COLOURS),
            "final": layers.class_map(mask, COLOURS),
            "truth": layers.class_map(truth, COLOURS),
            "errors": layers.error_map(mask, truth),
        },
    }


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    rng = np.random.default_rng(0)
    gallery = {
        "layers": cards.LAYERS,
        "classes": {k: [f"{HOSTILE}class{k}", f"rgb({k}, 9, 200)"] for k in range(3)},
        "errors": [["missed", "red"]],
        "splits": [["train", "Pseudo labels", "of train"], ["val", "Segmenter", "of val"]],
        "photos": [_photo(index, rng) for index in range(40)],
    }
    wide = page.table(["class", *map(str, range(40))], [[HOSTILE, *["12.3"] * 40]])
    curve = page.chart("loss", [(i, 1 / (1 + i)) for i in range(50)])
    content = page.Page(
        title="a_run_with_a_name_that_is_longer_than_a_phone_is_wide_" + HOSTILE,
        subtitle="drawn photos",
        tiles=[("Pseudo labels", "77.5", "mIoU")] * 4,
        sections=[("scores", "Scores", wide), ("curves", "Training", curve)],
        gallery=gallery,
    )
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_bytes(page.render(content))
    return file.as_uri()


@pytest.fixture(scope="module")
def started():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture
def browser(started, address):
    """The page as opened; a test fails where the browser's console has anything to say."""
    _resize(started, 1400, 900)
    started.get(address)
    yield started
    assert started.get_log("browser") == []


def _resize(driver, width, height):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def _all(browser, selector):
    return browser.find_elements("css selector", selector)


def _pressed(browser):
    return [
        b.get_attribute("data-layer") for b in _all(browser, "#tools .layers [aria-pressed=true]")
    ]


def _overlays(browser):
    return {image.get_attribute("src") for image in _all(browser, ".card .overlay[src]")}


def _press(browser, key):
    webdriver.ActionChains(browser).send_keys(key).perform()


def _wait(browser, condition):
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 10).until(condition)


def test_keys_and_buttons_switch_the_layer_of_all_photos(browser):
    _wait(browser, _overlays)
    assert _pressed(browser) == ["final"]
    final = _overlays(browser)
    _press(browser, "3")
    assert _pressed(browser) == ["truth"] and not final & _overlays(browser)
    _all(browser, "#tools [data-layer=cam]")[0].click()
    assert _pressed(browser) == ["cam"] and len(_overlays(browser)) == 2
    _press(browser, "0")
    assert _pressed(browser) == ["photo"] and not _overlays(browser)


def test_the_slider_fades_one_photo(browser):
    slider, *others = _all(browser, ".card input[type=range]")
    slider.send_keys(webdriver.Keys.HOME)
    opacity = [image.value_of_css_property("opacity") for image in _all(browser, ".overlay")[:2]]
    assert opacity == ["0", "1"] and others[0].get_attribute("value") == "100"


def test_photos_are_sorted_filtered_and_of_one_split(browser):
    def first():
        return _all(browser, ".card .name span:first-child")[0].text

    assert first() == f"{HOSTILE}38" and len(_all(browser, ".card")) == 30
    _all(browser, "#sort option[value=best]")[0].click()
    assert first() == f"{HOSTILE}00"
    _all(browser, "#classes button")[2].click()
    assert len(_all(browser, ".card")) == 10 and first() == f"{HOSTILE}37"
    assert len(_all(browser, ".card .wanted")) == 10
    assert "10 photos" in browser.find_element("id", "count").text
    _all(browser, "#splits button")[1].click()
    assert first() == f"{HOSTILE}39" and len(_all(browser, ".card")) == 10


def test_a_chosen_class_decides_the_order(browser):
    """The class's IoU rises with the index, the photo's falls."""
    order = [e.text for e in _all(browser, ".card .name span:first-child")]
    _all(browser, "#classes button")[1].click()
    chosen = [e.text for e in _all(browser, ".card .name span:first-child")]
    assert chosen == [name for name in reversed(order) if name in chosen] and len(chosen) > 1


def test_a_phone_shows_which_layer_is_pressed_and_what_it_means(browser):
    _resize(browser, 390, 844)
    for key in "320":
        _press(browser, key)
        row, button = (
            _all(browser, f"#tools .layers{s}")[0].rect for s in ("", " [aria-pressed=true]")
        )
        assert row["x"] <= button["x"] and button["x"] + button["width"] <= row["x"] + row["width"]
    _press(browser, "4")
    meaning = _all(browser, "#tools .meaning")[0]
    assert meaning.is_displayed() and "missed" in meaning.text


def test_pictures_are_decoded_when_seen(browser):
    _wait(browser, _overlays)
    assert not _all(browser, ".card")[-1].find_elements("css selector", "img[src]")
    browser.execute_script("document.querySelector('.card:last-child').scrollIntoView()")
    _wait(browser, lambda _: _all(browser, ".card:last-child .photo[src]"))
    width = "return document.querySelector('.card:last-child .photo').naturalWidth"
    _wait(browser, lambda _: browser.execute_script(width) == 90)


def test_a_click_enlarges_and_another_looks_closer(browser):
    _all(browser, ".card > button")[0].click()
    dialog = browser.find_element("id", "large")
    assert f"{HOSTILE}38" in dialog.text and "IoU 14.0" in dialog.text
    frame = _all(browser, "#stage .frame")[0]
    before = frame.size["width"]
    browser.find_element("id", "stage").click()
    assert frame.size["width"] == pytest.approx(2.5 * before, abs=3)
    _press(browser, webdriver.Keys.ARROW_RIGHT)
    assert f"{HOSTILE}38" not in dialog.text and f"{HOSTILE}37" in dialog.text
    _press(browser, webdriver.Keys.ESCAPE)
    assert not dialog.is_displayed()


@pytest.mark.parametrize("width", [320, 390, 1400])
def test_nothing_is_wider_than_the_screen(browser, width):
    _resize(browser, width, 844)
    measure = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    assert browser.execute_script(measure) == 0
    _all(browser, ".card > button")[0].click()
    box = browser.find_element("id", "large").rect
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert browser.execute_script(measure) == 0
