"""The viewer of ion images in a real browser: colours, places, overlays, downloads."""

import base64
import io
import json
import re
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import numpy.testing as npt
import pytest
import tifffile
from PIL import Image

from annotation_runs import write_run
from browser import chromium, opening  # noqa: F401
from metabolite_annotation.report.optical import read_optical
from metabolite_annotation.report.page import save_report

VIEW = Path(save_report.__code__.co_filename).parent / "view"
MAPS = {
    "viridis": "viridis",
    "magma": "magma",
    "grey": "gray",
    "hot": "hot",
    "cividis": "cividis",
}
WARPS = {
    "linear": lambda share, floor: share,
    "log": lambda share, floor: np.log(np.maximum(share, floor)),
    "root": lambda share, floor: np.sqrt(share),
}
WIDTH, HEIGHT = 32, 30
NAMED = ".map(part => part.n + part.channel).join()"
READY = f"""() => !ionStage.asked && ionShown.parts.length > 0
    && ionShown.parts{NAMED} === listParts(){NAMED}"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run with its page."""
    out = write_run(tmp_path_factory.mktemp("run"), rows=30, width=WIDTH, height=HEIGHT)
    save_report(out)
    return out


@pytest.fixture(scope="module")
def pages(chromium):  # noqa: F811
    """Return what opens pages; none of them may complain."""
    with opening(chromium) as open_one:
        yield open_one


@pytest.fixture(scope="module")
def first_page(pages, run):
    return pages(run / "report.html")


@pytest.fixture
def view(pages, first_page, run):
    """Return what shows a page in some state, or one whose data was changed."""

    def open_one(fragment="", *, dark=False, **changes):
        page = first_page
        if changes:
            page = pages(change_data(run, changes))
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.evaluate(
            """fragment => {
                if (optical.stage) endPlacing();
                applyState({...DEFAULTS, ion: '0',
                    ...Object.fromEntries(new URLSearchParams(fragment))});
            }""",
            fragment,
        )
        page.wait_for_function(READY)
        return page

    return open_one


def change_data(run, changes):
    """Return a page with other ``data.box`` or ``data.optical``."""
    text = (run / "report.html").read_text()
    start, found, end = re.split(
        r'(?<=id="data">)(.*?)(?=</script>)', text, maxsplit=1, flags=re.DOTALL
    )
    data = json.loads(found)
    for name, value in changes.items():
        data[name] = (
            data.get(name) | value if isinstance(data.get(name), dict) else value
        )
    path = run / "changed.html"
    path.write_text(start + json.dumps(data).replace("<", "\\u003c") + end)
    return path


def read_values(page, n=0):
    """Return the 16-bit values of an image of the page, and where spectra are."""
    values, there = page.evaluate(
        """async n => [Array.from((await readImages(columns.image[n]))[0].values),
            Array.from(await mask)]""",
        n,
    )
    return np.array(values), np.array(there, bool)


def read_pixels(page, canvas):
    """Return what is on a canvas, (height, width, 4)."""
    page.wait_for_function(READY)
    uri = page.evaluate(f"{canvas}.toDataURL()")
    png = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(np.int64)


def read_picture(page):
    """Return the colours of the picture that the viewer shows, (pixels, 4)."""
    return read_pixels(page, "ionShown.picture").reshape(-1, 4)


def set_state(page, **changes):
    page.evaluate("changes => setState(changes)", changes)
    page.wait_for_function(READY)


def get_quantile(values, quantile, least):
    counted = np.sort(values[values >= least])
    return counted[max(int(np.ceil(quantile * len(counted) - 1e-9)), 1) - 1]


def get_places(values, scale="linear", low=0.0, high=1.0, hot=0.99):
    """Return where values are on the colour map, 0 to 1, and the hotspot's value."""
    level = get_quantile(values, hot, 256) if hot < 1 else 65535
    floor = min(get_quantile(values, 0.01, 1) / level, 0.1)
    share, start, end = (
        WARPS[scale](np.asarray(x, np.float64), floor)
        for x in (values / level, low, high)
    )
    return ((share - start) / (end - start)).clip(0, 1), level


def get_screen(page, x, y):
    """Return where a point of the image is on the screen."""
    return page.evaluate(
        """([x, y]) => {
            const box = ionStage.canvas.getBoundingClientRect();
            const [left, top] = turnTo(getPlace(ionStage))(x, y);
            return [box.left + left, box.top + top];
        }""",
        [x, y],
    )


def point_at(page, x, y):
    """Move the pointer to a point of the image; return what is said of it."""
    find_canvas(page)
    page.mouse.move(*get_screen(page, x, y))
    return page.inner_text("#readout")


def find_canvas(page):
    page.evaluate("find('viewer').scrollIntoView()")


def test_scripts__share_no_name():
    texts = [path.read_text() for path in VIEW.glob("*.js")]
    names = re.findall(
        r"^(?:async )?(?:function|const|let) (\w+)", "\n".join(texts), re.MULTILINE
    )
    assert sorted(names) == sorted(set(names))


def test_colour_maps__are_matplotlibs(view):
    page = view()
    for name, theirs in MAPS.items():
        ours = page.evaluate(
            "name => Array.from(new Uint8Array(COLOUR_MAPS[name].buffer))", name
        )
        expected = matplotlib.colormaps[theirs](np.arange(256), bytes=True)
        off = np.array(ours).reshape(-1, 4) - expected.astype(np.int64)
        assert abs(off).max() <= 1, name


@pytest.mark.parametrize("dark", [False, True])
def test_no_spectrum__is_no_colour_of_a_map(view, dark):
    page = view(dark=dark)
    colours = page.evaluate(
        """() => ['--none', '--none-line', '--none-paper', '--none-line-paper']
            .map(name => readColour(name).trim())"""
    )
    used = np.concatenate(
        [matplotlib.colormaps[m](np.arange(256), bytes=True) for m in MAPS.values()]
    )
    for colour in colours:
        rgb = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        assert np.linalg.norm(used[:, :3] - np.array(rgb, float), axis=1).min() > 30


@pytest.mark.parametrize("hot", [0.5, 0.9, 0.99, 0.999, 1])
def test_find_range__is_of_the_bright_pixels(view, hot):
    rng = np.random.default_rng(int(1000 * hot))
    faint = np.concatenate([np.zeros(500), rng.integers(1, 256, 4000)])
    values = np.concatenate([faint, rng.integers(256, 65536, 777), [256, 65535]])
    found = view().evaluate(
        "([values, hot]) => findRange({values: Uint16Array.from(values)}, hot)",
        [values.tolist(), hot],
    )
    bright, some = values[values > 65535 / 256], values[values > 0]
    method = "inverted_cdf"  # METASPACE's but for its mean of two where both would do
    assert found["level"] == np.quantile(bright, hot, method=method)
    lowest = np.quantile(some, 0.01, method=method)
    assert found["floor"] == pytest.approx(min(lowest / found["level"], 0.1))


@pytest.mark.parametrize("scale", WARPS)
def test_picture__agrees_with_numpy(view, scale):
    page = view(f"scale={scale}")
    values, there = read_values(page)
    for name, low, high, hot in [
        ("viridis", "0", "1", "0.99"),
        ("magma", "0.2", "0.7", "0.99"),
        ("grey", "0", "0.5", "1"),
        ("hot", "0.05", "1", "0.9"),
        ("cividis", "0", "1", "0.999"),
    ]:
        set_state(page, map=name, low=low, high=high, hot=hot)
        places, _ = get_places(values, scale, float(low), float(high), float(hot))
        expected = matplotlib.colormaps[MAPS[name]](places, bytes=True)
        found = read_picture(page)
        assert abs(found - expected)[there].max() <= 1
        assert (found[~there, 3] == 0).all()


def test_canvas__shows_the_picture(view):
    page = view("map=magma")
    p = np.arange(0, WIDTH * HEIGHT, 7)
    y, x = np.divmod(p, WIDTH)
    left, top, across, down = page.evaluate(
        "(({left, top, across, down}) => [left, top, across, down])(getPlace(ionStage))"
    )
    rows, columns = top + (y + 0.5) * down, left + (x + 0.5) * across
    found = read_pixels(page, "ionStage.canvas")[rows.astype(int), columns.astype(int)]
    expected = read_picture(page)[p]
    far = (y < HEIGHT - 4) & (expected[:, 3] > 0)  # below is the scale bar
    npt.assert_array_equal(found[far], expected[far])
    used = matplotlib.colormaps["magma"](np.arange(256), bytes=True)[:, :3]
    hatched = found[expected[:, 3] == 0][:, None, :3]
    assert len(hatched)
    assert (abs(hatched - used.astype(np.int64)).sum(axis=2).min(axis=1) > 20).all()


def test_pointer__says_pixel_and_intensity(view, run):
    page = view()
    with h5py.File(run / "results.h5") as file:
        k = 4 * int(file["annotations/image"][0])
        rows = slice(*file["images/indptr"][k : k + 2])
        pixel = file["images/pixel"][rows]
        intensity = file["images/intensity"][rows]
        x, y = file["pixels/x"][:][pixel], file["pixels/y"][:][pixel]
    best = int(intensity.argmax())
    wanted = f"x {x[best]}, y {y[best]}: intensity "
    for zoom in ("", f"5,{x[best] + 2},{y[best] - 2}"):
        set_state(page, zoom=zoom)
        said = point_at(page, x[best] + 0.3, y[best] + 0.6)
        assert said.startswith(wanted)
        assert float(said.removeprefix(wanted)) == pytest.approx(
            intensity[best], rel=6e-3
        )
    set_state(page, zoom="")
    assert point_at(page, 0.5, 0.5) == "x 0, y 0: no spectrum"
    page.mouse.move(2, 400)
    assert page.inner_text("#readout") == ""


def test_pointer__says_every_measured_pixel(view):
    page = view(box={"block": 3, "full": [WIDTH * 3 - 1, HEIGHT * 3]})
    assert point_at(page, 31.5, 20.5).startswith("x 93–94, y 60–62: ")  # noqa: RUF001


def test_zoom__keeps_the_point_under_the_pointer(view):
    page = view()
    before = point_at(page, 10.5, 12.5)
    page.mouse.wheel(0, -400)
    page.wait_for_function("() => ionStage.view.k > 2")
    page.mouse.move(*get_screen(page, 10.5, 12.5))
    assert page.inner_text("#readout") == before
    x, y = get_screen(page, 10.5, 12.5)
    page.mouse.down()
    page.mouse.move(x + 60, y - 40, steps=4)
    page.mouse.up()
    assert get_screen(page, 10.5, 12.5) == pytest.approx([x + 60, y - 40], abs=1)
    page.keyboard.press("0")
    page.wait_for_function("() => ionStage.view.k === 1")
    page.keyboard.press("+")
    page.mouse.dblclick(*get_screen(page, 16, 15))
    assert page.evaluate("ionStage.view.k") == pytest.approx(3)
    page.click("#zoom-all")
    assert page.evaluate("ionStage.view") == {"k": 1, "x": 16, "y": 15}


def test_pinch__zooms_by_the_distance_of_fingers(view):
    page = view()
    find_canvas(page)
    x, y = get_screen(page, 16, 15)
    session = page.context.new_cdp_session(page)
    for kind, fingers in (
        ("Start", [x]),
        ("Start", [x, x + 50]),
        ("Move", [x, x + 100]),
        ("Move", [x, x + 150]),
        ("End", []),
    ):
        points = [{"x": at, "y": y, "id": k} for k, at in enumerate(fingers)]
        touch = {"type": f"touch{kind}", "touchPoints": points}
        session.send("Input.dispatchTouchEvent", touch)
    assert page.evaluate("ionStage.view.k") == pytest.approx(3)
    assert page.evaluate("ionStage.pointers.size") == 0


def test_scale_bar__is_one_two_or_five(view):
    page = view(box={"pixel_um": [50, 25]})
    choose = "([across, most]) => chooseScaleBar({across}, most)"
    for across in (0.3, 1, 2.5, 7, 30, 700):
        bar = page.evaluate(choose, [across, 180])
        number, unit = bar["said"].split()
        um = float(number) * {"µm": 1, "mm": 1000}[unit]
        assert bar["length"] == pytest.approx(um / 50 * across)
        assert 180 / 2.51 < bar["length"] <= 180 + 1e-6
        assert f"{um:e}"[0] in "125"
    box = page.locator("#stage").bounding_box()
    assert box["width"] > 0
    across, down = page.evaluate("[getPlace(ionStage).across, getPlace(ionStage).down]")
    assert down == pytest.approx(across / 2)
    page = view()
    assert page.evaluate(choose, [700, 180])["said"] == "1 pixel"
    assert page.evaluate(choose, [2, 180])["said"] == "50 pixels"


def test_sliders__move_by_keys_and_do_not_cross(view):
    page = view("high=0.3")
    page.focus("#range input[name=low]")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("state.low") == "0.003"
    page.keyboard.press("End")
    assert page.evaluate("[state.low, state.high]") == ["0.3", "0.3"]
    slider = page.locator("#range input[name=low]")
    assert float(slider.input_value()) == pytest.approx(0.3)
    said = slider.get_attribute("aria-valuetext")
    assert page.inner_text("#low-said") == f"Minimum {said}"
    set_state(page, low="1", high="1")  # the lower handle is above, and can move
    find_canvas(page)
    handle = slider.bounding_box()
    y = handle["y"] + handle["height"] / 2
    page.mouse.move(handle["x"] + handle["width"] - 7, y)
    page.mouse.down()
    page.mouse.move(handle["x"] + handle["width"] / 2, y, steps=3)
    page.mouse.up()
    assert float(page.evaluate("state.low")) == pytest.approx(0.5, abs=0.02)


def test_overlay__agrees_with_numpy(view):
    page = view("ion=2")
    page.click("#use-red")
    set_state(page, green="5", greenmax="0.4")
    name = page.evaluate("(fillNames(), [...annotationNames.keys()][9])")
    page.fill("#channels input[name=blue]", name)
    page.keyboard.press("Enter")
    assert page.evaluate("[state.red, state.green, state.blue]") == ["2", "5", "9"]
    page.wait_for_function("() => ionShown.parts.length === 3")
    expected, there = [], None
    for n, high in ((2, 1), (5, 0.4), (9, 1)):
        values, there = read_values(page, n)
        expected.append(np.minimum(256 * get_places(values, high=high)[0], 255) // 1)
    found = read_picture(page)
    npt.assert_array_equal(found[there, :3], np.array(expected).T[there])
    assert (found[~there, 3] == 0).all()
    set_state(page, ion="3")  # walking on shows one annotation
    assert page.evaluate("ionShown.parts.length") == 1


def download(page, button):
    page.locator("#download").evaluate("element => element.open = true")
    with page.expect_download() as begun:
        page.click(button)
    return begun.value.suggested_filename, begun.value.path().read_bytes()


def test_tiff__holds_values(view, run):
    page = view("ion=1", box={"pixel_um": [50, 12.5]})
    name, content = download(page, "#save-tiff")
    assert re.fullmatch(r"sim_small_\w+\+\w+\.tif", name)
    values, _ = read_values(page, 1)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        (tiff,) = file.pages
        npt.assert_array_equal(tiff.asarray().ravel(), values)
        said = dict(re.findall(r"(intensity) = value \* (.*)", tiff.description))
        assert "pixel 50 x 12.5 um" in tiff.description
        assert tiff.get_resolution("MICROMETER") == (1 / 50, 1 / 12.5)
    with h5py.File(run / "results.h5") as file:
        k = 4 * int(file["annotations/image"][1])
        most = file["images/intensity"][slice(*file["images/indptr"][k : k + 2])].max()
    assert float(said["intensity"]) * 65535 == pytest.approx(most, rel=1e-6)


def test_tiff__of_an_overlay_has_three_pages(view):
    page = view("ion=2&overlay=2&red=2&green=5&blue=9")
    _, content = download(page, "#save-tiff")
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        for n, tiff in zip((2, 5, 9), file.pages, strict=True):
            npt.assert_array_equal(tiff.asarray().ravel(), read_values(page, n)[0])


def test_figure__is_the_picture_enlarged(view):
    page = view("map=cividis")
    page.locator("#download").evaluate("element => element.open = true")
    page.fill("#downloads input[name=times]", "3")
    _, content = download(page, "#save-png")
    framed = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    page.uncheck("#downloads input[name=framed]")
    _, content = download(page, "#save-png")
    plain = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    picture = read_picture(page).reshape(HEIGHT, WIDTH, 4)
    expected = picture.repeat(3, axis=0).repeat(3, axis=1)
    assert plain.shape == (3 * HEIGHT, 3 * WIDTH, 3)
    there = expected[..., 3] > 0
    npt.assert_array_equal(plain[there], expected[there][:, :3])
    inside = framed[52 : 52 + 3 * HEIGHT, 12 : 12 + 3 * WIDTH][2:-2, 2:-2]
    there = there[2:-2, 2:-2]
    npt.assert_array_equal(inside[there], plain[2:-2, 2:-2][there])
    assert (framed[:, :8] == 255).all()
    bar = framed[60:130, 12 + 3 * WIDTH + 18]
    used = matplotlib.colormaps["cividis"](np.arange(256), bytes=True)[:, :3]
    off = abs(bar[:, None].astype(int) - used.astype(int)).sum(axis=2)
    assert off.min(axis=1).max() <= 3
    assert (np.diff(off.argmin(axis=1)) <= 0).all()


@pytest.mark.parametrize("orientation", [1, 6])
def test_read_optical__transform_is_of_the_files_pixels(tmp_path, orientation):
    picture, exif = Image.new("RGB", (5000, 3000)), Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "large.jpg", exif=exif)
    found = read_optical(tmp_path / "large.jpg", (0.1, 0, 0, 0.2, 7, 8))
    size = (5000, 3000) if orientation == 1 else (3000, 5000)
    assert found.file_size == size
    a, b, c, d, e, f = found.transform
    assert [a * found.width, d * found.height] == pytest.approx(
        [0.1 * size[0], 0.2 * size[1]]
    )
    assert [b, c, e, f] == [0, 0, 7, 8]


def test_optical__given_with_the_run(view):
    uri = io.BytesIO()
    Image.new("RGB", (40, 30), (10, 200, 30)).save(uri, "PNG")
    given = {
        "uri": f"data:image/png;base64,{base64.b64encode(uri.getvalue()).decode()}",
        "width": 40,
        "height": 30,
        "transform": [0.5, 0, 0, 0.5, 2, 3],
        "file_size": [80, 60],
        "placed": True,
    }
    page = view("opacity=0.25", optical=given)
    page.wait_for_function("optical.image && !ionStage.asked")
    x, y = page.evaluate("turnTo(getPlace(ionStage))(15.5, 12.5)")
    found = read_pixels(page, "ionStage.canvas")[int(y), int(x), :3]
    over = read_picture(page)[12 * WIDTH + 15, :3]
    npt.assert_allclose(found, 0.25 * over + 0.75 * np.array([10, 200, 30]), atol=2)
    page.locator("#optical").evaluate("element => element.open = true")
    said = page.inner_text("#transform")
    assert said == "--optical-transform=0.25,0,0,0.25,2,3"
    page.uncheck("#optical-form input[name=optical]")
    page.wait_for_function(READY)
    found = read_pixels(page, "ionStage.canvas")[int(y), int(x), :3]
    npt.assert_array_equal(found, over)


def test_fit_affine__agrees_with_least_squares(view):
    page = view()
    points = np.random.default_rng(1).uniform(0, 100, (7, 4))
    found = page.evaluate("points => fitAffine(points)", points.tolist())
    design = np.column_stack([points[:, :2], np.ones(7)])
    solved = np.linalg.lstsq(design, points[:, 2:], rcond=None)[0]
    npt.assert_allclose(found, solved.ravel())
    off = page.evaluate(
        "([t, points]) => getResidual(t, points)", [found, points.tolist()]
    )
    squares = ((design @ solved - points[:, 2:]) ** 2).sum(axis=1)
    assert off == pytest.approx(np.sqrt(squares.mean()))
    line = [[k, 2 * k, k, k] for k in range(4)]
    assert page.evaluate("points => fitAffine(points)", line) is None


def test_optical__placed_by_three_points(view, tmp_path):
    page = view("opacity=0")
    Image.new("RGB", (120, 90), (10, 200, 30)).save(tmp_path / "optical.png")
    page.locator("#optical").evaluate("element => element.open = true")
    page.set_input_files("#optical-form input[type=file]", tmp_path / "optical.png")
    page.wait_for_selector("#optical-image")
    find_canvas(page)
    matrix = np.array([[0.2, 0.03], [-0.02, 0.25]])
    for x, y in ((20, 15), (100, 20), (40, 80)):
        left, top = page.evaluate(
            """([x, y]) => {
                const box = optical.stage.canvas.getBoundingClientRect();
                const [left, top] = turnTo(getPlace(optical.stage))(x, y);
                return [box.left + left, box.top + top];
            }""",
            [x, y],
        )
        page.mouse.click(left, top)
        page.mouse.click(*get_screen(page, *(matrix @ [x, y] + [3, 4])))
    found = page.evaluate("getTransform()")
    npt.assert_allclose(found[:4], matrix.T.ravel(), atol=4e-3)
    npt.assert_allclose(found[4:], [3, 4], atol=0.3)
    said = page.inner_text("#transform")
    numbers = said.removeprefix("--optical-transform=").split(",")
    npt.assert_allclose(np.array(numbers, float), found, atol=1e-8)
    page.click("#place-done")
    page.wait_for_function(READY)
    left, top = page.evaluate("turnTo(getPlace(ionStage))(14, 15)")
    colour = read_pixels(page, "ionStage.canvas")[int(top), int(left)].tolist()
    assert colour == [10, 200, 30, 255]
    page.click("#place-begin")
    page.click("#place-undo")
    assert page.evaluate("[listPlaced().length, getTransform()]") == [2, None]
    assert page.inner_text("#optical-said") == "Not placed yet, so not shown."
    page.click("#place-done")


def test_optical__that_is_no_image_is_said(view, tmp_path):
    page = view()
    (tmp_path / "text.png").write_text("no image")
    page.locator("#optical").evaluate("element => element.open = true")
    page.set_input_files("#optical-form input[type=file]", tmp_path / "text.png")
    page.get_by_text("This file is no image that the browser can read.").wait_for()


def test_fragment__restores_the_view(view, pages, run):
    page = view("ion=4")
    page.select_option("#painting select[name=map]", "hot")
    page.select_option("#painting select[name=scale]", "log")
    page.select_option("#painting select[name=hot]", "0.95")
    page.fill("#range input[name=low]", "0.2")
    find_canvas(page)
    page.mouse.move(*get_screen(page, 9, 9))
    page.mouse.wheel(0, -300)
    page.wait_for_function("() => location.hash.includes('zoom') && !settling")
    fragment = page.evaluate("location.hash.slice(1)")
    again = pages(run / "report.html", fragment)
    npt.assert_array_equal(read_picture(again), read_picture(page))
    first, second = (p.evaluate("ionStage.view") for p in (page, again))
    assert second == pytest.approx(first, abs=0.01)
    assert again.input_value("#painting select[name=scale]") == "log"


@pytest.mark.parametrize(
    "fragment",
    [
        "map=constructor&scale=toString&hot=2&low=x&high=-1",
        "zoom=a,b&place=1,2;x&overlay=0&ion=0&red=99999&green=-1&blue=toString",
    ],
)
def test_fragment__that_is_nonsense_is_passed_over(pages, run, fragment):
    page = pages(run / "report.html", fragment)
    page.wait_for_function(READY)
    values, there = read_values(page)
    expected = matplotlib.colormaps["viridis"](get_places(values)[0], bytes=True)
    assert abs(read_picture(page) - expected)[there].max() <= 1


def test_watch_pointer__stops_panning(view):
    page = view("zoom=3,16,15")
    before = page.evaluate("({...ionStage.view})")
    page.evaluate(
        """() => {
            window.seen = [];
            const note = name => point => seen.push([name, point.x, point.y]);
            window.stop = watchPointer(
                {down: note('down'), move: note('move'), up: note('up')});
        }"""
    )
    find_canvas(page)
    page.mouse.move(*get_screen(page, 14, 13))
    page.mouse.down()
    page.mouse.move(*get_screen(page, 17, 16), steps=3)
    page.mouse.up()
    assert page.evaluate("({...ionStage.view})") == before
    seen = page.evaluate("seen")
    assert [seen[0][0], seen[-1][0]] == ["move", "up"]
    assert [name for name, *_ in seen if name == "down"] == ["down"]
    assert seen[-1][1:] == pytest.approx([17, 16], abs=0.2)
    page.evaluate("stop()")
    x, y = get_screen(page, 16, 15)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y, steps=3)
    page.mouse.up()
    assert page.evaluate("ionStage.view.x") < before["x"]
