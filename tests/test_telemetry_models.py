"""Windows, models and forecasts of telemetry: no leak, no pickle, no worse than now."""

import csv
import gzip
import json
import shutil
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_connector import cli
from hpc_connector.commands.telemetry import forecast as foretell
from hpc_connector.commands.telemetry import train as teach
from hpc_connector.commands.telemetry.train import format_table
from hpc_connector.errors import BadInput
from hpc_connector.forecast.evaluate import evaluate, get_pinball
from hpc_connector.forecast.features import (
    HORIZONS,
    LAGS,
    check_split,
    get_feature_names,
    make_examples,
    split_examples,
)
from hpc_connector.forecast.guard import choose, classify, raise_p90, recalibrate
from hpc_connector.forecast.model_folder import ARRAYS, CARD, load_model, save_model
from hpc_connector.forecast.models import KINDS, LEARN_NOTHING, fit, predict
from hpc_connector.forecast.outlook import forecast, get_next
from hpc_connector.forecast.predictor import get_forecasts, train_predictor
from hpc_connector.forecast.train import get_data_hash, train
from hpc_connector.forecast.windows import TARGETS, Series, make_windows, read_series
from hpc_connector.manifest import save_manifest
from hpc_connector.report.telemetry.forecast_picture import draw_forecast
from hpc_connector.telemetry.samples import raise_to_peak, read_samples

OWN = Path(__file__).parent / "data/telemetry/own_10hz_6runs.csv.gz"
COLUMNS = ("time_s", "elapsed_s", "node", "rank", "pid", "cpu_s", "rss_bytes")
EMBARGO = LAGS + HORIZONS


def make_values(n, seed):
    """Return windows whose bursts of CPU come every 6th and 7th, and steady growth."""
    random = np.random.default_rng(seed)
    place = np.arange(n) + random.integers(6)
    cpu = np.where(place % 6 < 2, 7.0, 1.5) + random.normal(0, 0.1, n)
    memory = 2.0**30 * (1 + (place % 9) / 4 + random.normal(0, 0.01, n))
    return np.column_stack([cpu, memory])


def make_runs(runs, n, group="sim", **options):
    """Return runs one after the other, 10 s windows."""
    return [
        Series("node", f"run{k}", group, 1e6 * k, 10.0, make_values(n, k), **options)
        for k in range(runs)
    ]


def write_telemetry(directory, values, *, start_s=0.0, ranks=1):
    """Write what the agent would have, every half second, for windows of a second."""
    (directory / "telemetry").mkdir(parents=True)
    save_manifest(directory, {"program": "sim"})
    cpu_s = np.concatenate([[0.0], np.cumsum(np.repeat(values[:, 0] / 2, 2))])
    memory = np.repeat(values[:, 1], 2).astype(int)
    with open(directory / "telemetry/node1.csv", "w", newline="") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(COLUMNS)
        for k, used in enumerate(cpu_s):
            rss = memory[min(k, len(memory) - 1)]
            for rank in range(-1, ranks - 1):
                out.writerow(
                    [start_s + k / 2, k / 2, "node1", rank, 7, round(used, 6), rss]
                )
    return directory


@pytest.fixture(scope="module")
def trained():
    series = make_runs(8, 300)
    return series, *train(series, kind="hgb")


@pytest.fixture
def model(trained, tmp_path):
    _, predictor, about = trained
    save_model(tmp_path / "model", predictor, about)
    return tmp_path / "model"


# ---- windows


@given(
    st.lists(st.floats(0, 50), min_size=2, max_size=60),
    st.sets(st.integers(1, 59)),
    st.floats(0.3, 7),
)
def test_windows__of_a_counter_with_resets_lose_and_invent_nothing(used, resets, width):
    clock_s = np.arange(len(used), dtype=float)
    counter, total = [0.0], 0.0
    for k, step in enumerate(used[1:], 1):
        if k in resets and counter[-1] > 0:
            counter.append(0.0)  # it starts again, at the moment of the sample
        else:
            counter.append(counter[-1] + step)
            total += step
    values = make_windows(clock_s, np.array(counter), np.ones(len(used)), width_s=width)
    cores = values[~np.isnan(values[:, 0]), 0]
    assert (cores >= -1e-9).all()
    assert (cores * width).sum() <= total + 1e-6
    assert np.nanmax(cores, initial=0) <= max(used) + 1e-6


@given(st.integers(1, 6), st.integers(2, 40))
def test_windows__give_back_what_made_them(per_window, n):
    cores = np.random.default_rng(n).uniform(0, 8, n)
    clock_s = np.arange(n * per_window + 1) / per_window
    cpu_s = np.concatenate([[0], np.cumsum(np.repeat(cores / per_window, per_window))])
    memory = np.arange(len(clock_s), dtype=float)
    values = make_windows(clock_s, cpu_s, memory, width_s=1.0)
    np.testing.assert_allclose(values[:, 0], cores, atol=1e-9)
    np.testing.assert_array_equal(
        values[:, 1], memory[per_window - 1 : -1 : per_window]
    )


def test_windows__without_a_sample_are_missing():
    clock_s = np.array([0.0, 1, 2, 12, 13, 14])
    values = make_windows(clock_s, clock_s, np.ones(6), width_s=2.0)
    assert np.isnan(values[1:6]).all(axis=1).tolist() == [False, True, True, True, True]


def test_windows__that_overlap_are_refused_with_the_reason(tmp_path):
    run = write_telemetry(tmp_path / "run", make_values(30, 1))
    with pytest.raises(BadInput, match=r"share 97 % of their samples.*near-perfect"):
        read_series(run, 300.0, 10.0)
    assert len(read_series(run, 2.0, 2.0)[0].values) == 15


def write_table(path, step_s, part=None):
    import pyarrow
    import pyarrow.parquet

    n = 200
    columns = {"series": ["a"] * n, "group": ["sim"] * n}
    columns |= {"start_s": step_s * np.arange(n), "end_s": step_s * np.arange(n) + 10}
    columns |= dict(zip(TARGETS, make_values(n, 1).T, strict=True))
    if part is not None:
        columns["part"] = part
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def test_windows__of_somebody_else_that_overlap_are_refused(tmp_path):
    with pytest.raises(BadInput, match="share 80 % of their samples"):
        read_series(write_table(tmp_path / "a.parquet", 2.0))
    assert len(read_series(write_table(tmp_path / "b.parquet", 10.0))) == 1


def test_peak__between_samples_is_not_missed():
    rss = np.array([5.0, 6, 6, 2, 2])
    peak = np.array([5.0, 9, 9, 9, np.nan])
    assert raise_to_peak(rss, peak).tolist() == [5, 9, 6, 2, 2]


def test_samples__of_a_cut_file_are_used_up_to_the_cut(tmp_path, caplog):
    run = write_telemetry(tmp_path / "run", make_values(20, 1))
    path = run / "telemetry/node1.csv"
    whole = read_samples(run)[0]
    path.write_bytes(path.read_bytes()[:-4])
    cut = read_samples(run)[0]
    assert len(cut.cpu_s) == len(whole.cpu_s) - 1
    assert "1 of 41 lines are cut" in caplog.text


def test_samples__whose_clocks_step_back_are_refused(tmp_path):
    run = write_telemetry(tmp_path / "run", make_values(20, 1))
    path = run / "telemetry/node1.csv"
    head, *lines = path.read_text().splitlines()
    lines[7], lines[9] = lines[9], lines[7]
    path.write_text("\n".join([head, *lines, ""]))
    with pytest.raises(BadInput, match="the clock steps back"):
        read_samples(run)


# ---- rows: no leak


@given(st.integers(LAGS, 59), st.integers(0, 10**6))
@settings(max_examples=25)
def test_features__do_not_see_the_future(now, seed):
    values = make_values(60, 1)
    other = values.copy()
    random = np.random.default_rng(seed)
    other[now:] = random.uniform(0, 1e12, other[now:].shape)
    for target in TARGETS:
        rows, changed = (
            make_examples([Series("", "", "", 0.0, 10.0, v)], target)
            for v in (values, other)
        )
        past = rows.end_s <= 10.0 * now
        assert past.sum() == now - LAGS + 1
        for name in ("features", "scale", "lags", "past", "age"):
            mine, theirs = getattr(rows, name), getattr(changed, name)
            np.testing.assert_array_equal(mine[past], theirs[past])


def test_guard__does_not_see_the_future():
    random = np.random.default_rng(1)
    candidates, future = random.random((3, 50, 3)), random.random((50, 3))
    steps, now = np.full(50, 0.1), 30
    for is_known in (True, False):
        before = choose(candidates, future, steps, is_known=is_known)
        changed = future.copy()
        for h in range(3):
            changed[now - h :, h] = 99  # ends after the window `now`
        after = choose(candidates, changed, steps, is_known=is_known)
        np.testing.assert_array_equal(before[: now + 1], after[: now + 1])
    moved, again = (
        recalibrate(candidates[0], f, steps, 0.2) for f in (future, changed)
    )
    np.testing.assert_array_equal(moved[: now + 1], again[: now + 1])
    lags = random.random((50, LAGS))
    moved, again = (raise_p90(candidates[0], lags, f, steps) for f in (future, changed))
    np.testing.assert_array_equal(moved[: now + 1], again[: now + 1])


@pytest.mark.parametrize("runs", [1, 3, 10])
def test_split__keeps_an_embargo_between_train_and_test(runs):
    series = [
        Series("n", f"r{k}", "g", 700.0 * k, 10.0, make_values(150, k))
        for k in range(runs)
    ]
    rows = make_examples(series, "cpu")
    training, test = split_examples(series, rows)
    assert training.any()
    assert test.any()
    assert not (training & test).any()
    if runs >= 4:  # by run
        assert not set(rows.series[training]) & set(rows.series[test])
        gap_s = rows.begin_s[test].min() - rows.until_s[training].max()
        assert gap_s >= 10.0 * EMBARGO
    for k in set(rows.series[training]) & set(rows.series[test]):
        mine = rows.series == k
        gap_s = rows.begin_s[mine & test].min() - rows.until_s[mine & training].max()
        assert gap_s >= 10.0 * EMBARGO


def test_split__keeps_the_ranks_of_a_run_together():
    series = [
        Series(f"rank {r}", f"run{k}", "g", 9e3 * k + r, 10.0, make_values(60, k))
        for k in range(6)
        for r in range(4)
    ]
    rows = make_examples(series, "cpu")
    training, test = split_examples(series, rows)
    runs = np.array([one.run for one in series])[rows.series]
    assert {*runs[training]} == {f"run{k}" for k in range(4)}
    assert {*runs[test]} == {"run4", "run5"}


def test_split__at_random_is_refused(tmp_path):
    words = np.random.default_rng(1).choice(["train", "test"], 200)
    series = read_series(write_table(tmp_path / "a.parquet", 10.0, words))
    with pytest.raises(BadInput, match=r"as in a split at random.*skill is then made"):
        split_examples(series, make_examples(series, "cpu"))
    words = np.array(["train"] * 100 + ["none"] * 11 + ["test"] * 89)
    series = read_series(write_table(tmp_path / "b.parquet", 10.0, words))
    rows = make_examples(series, "cpu")
    with pytest.raises(BadInput, match="expected a split by run"):
        split_examples(series, rows)  # by time, but the lags reach over the gap
    train_, test = rows.until_s <= 900, rows.begin_s >= 900 + 110
    check_split(rows, train_, test, np.full(len(test), 110.0))


# ---- models


@pytest.mark.parametrize("kind", sorted({*KINDS} - {*LEARN_NOTHING}))
def test_models__learn_and_forecast_by_arrays_alone(kind):
    random = np.random.default_rng(1)
    x = random.normal(size=(900, len(get_feature_names())))
    y = x[:, 0] + 0.5 * x[:, 3] + random.normal(0, 0.05, 900)
    fitted = fit(kind, x[:700], y[:700])
    assert all(array.dtype.kind in "fi" for array in fitted.values())
    error = np.abs(predict(kind, fitted, x[700:]) - y[700:]).mean()
    assert error < 0.45 * np.abs(y[700:]).mean()


def test_models__that_learn_nothing_repeat_the_last_or_the_middle():
    rows = make_examples(make_runs(1, 60), "cpu", 5)
    for kind, value in (
        ("persistence", rows.lags[:, -1]),
        ("median", np.median(rows.lags[:, -3:], axis=1)),
    ):
        change = predict(kind, fit(kind, rows.features, rows.scale), rows.features)
        told = rows.lags[:, -1] + rows.scale * change
        np.testing.assert_allclose(told, value, rtol=1e-12)


def test_trees__are_those_of_scikit_learn():
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    random = np.random.default_rng(1)
    x, y = random.normal(size=(500, 7)), random.normal(size=500)
    theirs = HistGradientBoostingRegressor(
        loss="quantile", quantile=0.9, early_stopping=False, random_state=42
    )
    with threadpool_limits(1, "openmp"):
        theirs.fit(x, y)
    fitted = fit("hgb", x, y, quantile=0.9)
    np.testing.assert_allclose(predict("hgb", fitted, x), theirs.predict(x), rtol=1e-9)


def test_recursive__equals_direct_for_persistence_and_the_first_step(trained):
    series = trained[0]
    rows = {target: make_examples(series, target) for target in TARGETS}
    training, test = split_examples(series, rows["cpu"])
    found = [
        get_forecasts(
            train_predictor(
                rows, training, kind="linear", width_s=10.0, recursive=recursive
            ),
            {target: r.take(test) for target, r in rows.items()},
        )
        for recursive in (False, True)
    ]
    for target in TARGETS:
        direct, recursive = (f[target][0] for f in found)
        np.testing.assert_allclose(recursive[:, 0], direct[:, 0], rtol=1e-9)
        assert recursive.shape == direct.shape


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (np.full(20, 3.0), "constant"),
        (np.arange(20.0), "trending"),
        (np.tile([1.0, 9.0], 10), "heterogeneous"),
        (np.array([np.nan, 1, np.nan]), "constant"),
        (np.zeros(20), "constant"),
    ],
)
def test_classes(values, word):
    assert classify(values, "cpu") == word


# ---- the guard


@given(st.integers(0, 2), st.integers(0, 1000), st.booleans())
@settings(max_examples=40)
def test_guard__is_never_worse_than_the_best_when_one_is_best(best, seed, is_known):
    random = np.random.default_rng(seed)
    future = random.uniform(10, 20, (80, 3))
    candidates = future + random.uniform(2, 3, (3, 80, 3))
    candidates[best] = future + random.uniform(0, 1, (80, 3))
    steps = np.full(80, 1.0)
    chosen = choose(candidates, future, steps, is_known=is_known)
    start = {True: HORIZONS, False: 3 + HORIZONS}[is_known or best == 1]
    if is_known or best == 1:
        assert (chosen[start:] == best).all()
    else:  # persistence serves a program that was not trained on, until proof
        assert (chosen[0] == 1).all()
        assert np.isin(chosen, [1, best]).all()


@given(st.integers(0, 10**6))
@settings(max_examples=40)
def test_guard__limits_what_a_new_program_can_lose(seed):
    random = np.random.default_rng(seed)
    future = np.cumsum(random.normal(size=(200, 3)), axis=0)
    candidates = future + random.normal(
        0, random.uniform(0.1, 3, (3, 1, 3)), (3, 200, 3)
    )
    steps = np.full(200, 1.0)
    chosen = choose(candidates, future, steps, is_known=False)
    error = np.abs(candidates - future)
    served = np.take_along_axis(error, chosen[None], 0)[0]
    for h in range(HORIZONS):
        over = served[:, h].sum() - 1.01 * error[1, :, h].sum()
        # what is still on its way when credit ends: one error a window ahead
        assert over <= (h + 1) * error[:, :, h].max()


def test_p90__of_a_model_that_is_wrong_comes_to_cover():
    random = np.random.default_rng(1)
    future = random.normal(10, 1, (3000, 3))
    moved = recalibrate(np.full((3000, 3), 9.0), future, np.full(3000, 1.0), 0.2)
    covered = (future <= moved)[500:].mean(axis=0)
    np.testing.assert_allclose(covered, 0.9, atol=0.02)


@pytest.mark.parametrize("wrong", [-1e3, 1e3])
def test_p90__of_a_new_program_survives_a_model_that_is_far_off(wrong):
    random = np.random.default_rng(1)
    values = random.normal(100, 1, 1000)
    view = np.lib.stride_tricks.sliding_window_view(values, LAGS + HORIZONS)
    lags, future = view[:, :LAGS], view[:, LAGS:]
    steps = np.abs(np.diff(lags, axis=1)).mean(axis=1)
    upper = raise_p90(np.full(future.shape, 100 + wrong), lags, future, steps)
    assert 0.82 < (future <= upper)[200:].mean() < 0.96
    assert get_pinball(future[200:], upper[200:]) < 0.5  # 0.18 were the best


def test_pinball__is_least_at_the_quantile():
    came = np.random.default_rng(1).normal(size=4000)
    grid = np.linspace(-1, 3, 81)
    best = grid[np.argmin([get_pinball(came, np.full(4000, g)) for g in grid])]
    assert best == pytest.approx(np.quantile(came, 0.9), abs=0.05)


# ---- training, the card


def test_training__beats_persistence_where_there_is_something_to_learn(trained):
    _, _, about = trained
    assert about["usable"] == {"cpu": True, "memory": True}
    assert about["verdict"].startswith("usable")
    assert min(f["skill"] for f in about["figures"]) > 0.5
    assert all(0.8 < f["coverage"] < 1 for f in about["figures"])
    table = format_table(about)
    assert "persistence" in table
    assert table.count("\n") == 1 + len(TARGETS) * HORIZONS


def test_training__on_noise_is_not_called_usable():
    random = np.random.default_rng(1)
    series = [
        Series(
            "n",
            f"r{k}",
            "g",
            1e6 * k,
            10.0,
            np.cumsum(random.random((300, 2)) - 0.5, 0) + 99,
        )
        for k in range(8)
    ]
    _, about = train(series, kind="linear")
    assert not all(about["usable"].values())
    assert "usable: better" not in about["verdict"]


def test_training__on_little_serves_persistence():
    predictor, about = train(make_runs(6, 60))
    assert predictor.kind == "persistence"
    assert "fewer than 1,000" in about["verdict"]
    with pytest.raises(BadInput, match="too few to train"):
        train(make_runs(1, 15))


def test_training__of_different_widths_is_refused():
    other = Series("n", "r", "g", 0.0, 5.0, make_values(50, 1))
    with pytest.raises(BadInput, match="expected one width"):
        train([*make_runs(2, 50), other])


def test_model__comes_back_as_it_was(trained, model):
    series, predictor, about = trained
    loaded, card = load_model(model)
    rows = {target: make_examples(series[-1:], target) for target in TARGETS}
    for target, forecasts in get_forecasts(predictor, rows).items():
        for mine, theirs in zip(
            forecasts, get_forecasts(loaded, rows)[target], strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    assert card["data_sha256"] == get_data_hash(series)
    assert card["figures"] == about["figures"]
    assert card["programs"] == ["sim"]
    assert {"numpy", "scikit-learn", "hpc_connector"} <= set(card["versions"])


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("recursive", [False, True])
def test_model__of_every_kind_comes_back(kind, recursive, tmp_path):
    series = make_runs(5, 60)
    rows = {target: make_examples(series, target) for target in TARGETS}
    training, _ = split_examples(series, rows["cpu"])
    made = train_predictor(rows, training, kind=kind, width_s=10.0, recursive=recursive)
    save_model(tmp_path, made, {})
    loaded, _ = load_model(tmp_path)
    for target, (p50, p90) in get_forecasts(loaded, rows).items():
        expected = get_forecasts(made, rows)[target]
        np.testing.assert_array_equal(p50, expected[0])
        assert (p90 >= p50).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 99}, "has model format 99; this version reads 1"),
        ({"features": ["lag_1"]}, "features are not those of this version"),
        ({"lags": 5}, "features are not those of this version"),
        ({"lags": "many"}, "features are not those of this version"),
        ({"kind": "oracle"}, "kind are not those"),
        ({"kind": "linear"}, "the model is damaged"),
        ({"targets": ["gpu"]}, "targets are not those"),
        ({"arrays_sha256": "0"}, "not the file that card.json describes"),
        ({"window_s": None}, "the model is damaged"),
    ],
)
def test_card__that_does_not_fit_is_refused(model, change, words):
    card = json.loads((model / CARD).read_text())
    (model / CARD).write_text(json.dumps(card | change))
    with pytest.raises(BadInput, match=words):
        load_model(model)


def replace_arrays(model, change):
    """Change the arrays of a model, and its card as one who means harm would."""
    from hpc_connector.storage.checksums import get_checksum

    with np.load(model / ARRAYS) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    change(found)
    np.savez(model / ARRAYS, **found)
    card = json.loads((model / CARD).read_text())
    card["arrays_sha256"] = get_checksum(str(model / ARRAYS))
    (model / CARD).write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cpu 1/left", 10**6),
        ("cpu 1/left", -5),
        ("cpu 1/right", 0),
        ("memory 2 p90/feature", 77),
        ("cpu 3/value", np.nan),
        ("cpu/offsets", np.inf),
    ],
)
def test_model__that_would_lead_out_of_its_trees_is_refused(model, name, value):
    def change(arrays):
        arrays[name].flat[0] = value

    replace_arrays(model, change)
    with pytest.raises(BadInput, match=r"damaged|finite"):
        load_model(model)


def test_model__with_objects_is_refused_unread(model):
    class Bomb:
        def __reduce__(self):
            return exec, ("raise SystemExit('run by a pickle')",)

    replace_arrays(model, lambda arrays: arrays.update(x=np.array([Bomb()], object)))
    with pytest.raises(BadInput, match="plain numbers"):
        load_model(model)


def test_model__that_lacks_a_part_is_refused(model, tmp_path):
    with pytest.raises(BadInput, match="holds no model"):
        load_model(tmp_path / "nowhere")
    replace_arrays(model, lambda arrays: arrays.pop("cpu 1/value"))
    with pytest.raises(BadInput, match="damaged"):
        load_model(model)
    (model / ARRAYS).write_bytes(b"nothing")
    with pytest.raises(BadInput, match="not the file"):
        load_model(model)
    (model / ARRAYS).unlink()
    with pytest.raises(BadInput, match=r"no arrays.npz"):
        load_model(model)
    (model / CARD).write_text("{")
    with pytest.raises(BadInput, match="not a model card"):
        load_model(model)


# ---- from telemetry to a forecast


def call(module, *arguments):
    parser = cli.make_parser("x", "")
    module.add_arguments(parser)
    return module.run(parser.parse_args([str(a) for a in arguments]))


def test_train_and_forecast__from_telemetry_to_a_picture(tmp_path, capsys):
    runs = [
        write_telemetry(tmp_path / f"run{k}", make_values(260, k), start_s=1e6 * k)
        for k in range(7)
    ]
    model = tmp_path / "model"
    options = ["--window", "1", "--model", "linear", "--lags", "10"]
    assert call(teach, *runs, "--out", model, *options) == cli.DONE
    told = capsys.readouterr().out
    assert "usable: better than persistence" in told
    card = json.loads((model / CARD).read_text())
    assert card["programs"] == ["sim"]
    assert set(card["trained_until_s"]) == {f"run{k}" for k in range(4)}

    live = write_telemetry(
        tmp_path / "live", make_values(100, 99)[:97], start_s=9e6, ranks=2
    )
    picture = tmp_path / "live.svg"
    assert call(foretell, live, "--model", model, "--svg", picture) == cli.DONE
    assert "cpu, cores" in capsys.readouterr().out
    record = json.loads((live / "telemetry/forecast.json").read_text())
    assert [f["series"] for f in record["forecasts"]] == ["node1", "node1 rank 0"]
    following = make_values(100, 99)[97:]
    found = record["forecasts"][0]
    assert found["window_ends_s"] == [9e6 + 98, 9e6 + 99, 9e6 + 100]
    np.testing.assert_allclose(found["cpu"]["p50"], following[:, 0], atol=0.6)
    np.testing.assert_allclose(found["memory"]["p50"], following[:, 1], rtol=0.1)
    assert (np.array(found["cpu"]["p90"]) >= found["cpu"]["p50"]).all()
    root = xml.etree.ElementTree.parse(picture).getroot()
    words = " ".join(root.itertext())
    assert "sim: node1, 97 windows of 1 s" in words
    assert "NaN" not in picture.read_text()
    assert "nan" not in picture.read_text()

    assert call(foretell, runs[0], "--model", model, "--svg", picture) == cli.DONE
    assert "where it learned (train)" in picture.read_text()
    with pytest.raises(BadInput, match="trained on windows of 1 s"):
        call(foretell, live, "--model", model, "--window", "5")
    with pytest.raises(BadInput, match="no series 'node9'"):
        call(
            foretell,
            live,
            "--svg",
            picture,
            "--window",
            "1",
            "--series",
            "node9",
        )


def test_forecast__without_a_model_or_windows(tmp_path, capsys):
    run = write_telemetry(tmp_path / "run", make_values(40, 3))
    assert call(foretell, run, "--window", "1") == cli.DONE
    assert "persistence" in capsys.readouterr().out
    with pytest.raises(BadInput, match="the run has 4 windows of 10 s"):
        call(foretell, run)
    shutil.rmtree(run / "telemetry")
    with pytest.raises(BadInput, match="holds no telemetry"):
        call(foretell, run)


def test_forecast__of_a_gap_is_no_forecast_of_now():
    values = make_values(60, 3)
    values[20:30] = np.nan
    one = Series("node1", "run", "sim", 0.0, 10.0, values)
    (outlook,) = forecast([one])
    assert get_next(outlook)["window_ends_s"] == [610, 620, 630]
    assert not np.isnan(outlook.served["cpu"].p90).any()
    assert draw_forecast(outlook).count("nan") == 0
    values[-4] = np.nan
    with pytest.raises(BadInput, match="without a gap at the end"):
        forecast([one])


def test_forecast__without_a_model_learns_from_the_first_part_alone():
    values = make_values(100, 3)
    one = Series("node1", "run", "sim", 0.0, 10.0, values)
    (outlook,) = forecast([one])
    seen = int(outlook.seen_until_s / 10)
    assert 60 < seen < 80
    other = values.copy()
    other[seen:] *= 9
    changed = Series("node1", "run", "sim", 0.0, 10.0, other)
    (again,) = forecast([changed])
    past = outlook.rows["cpu"].end_s <= outlook.seen_until_s
    for target in TARGETS:
        mine, theirs = outlook.served[target].p90, again.served[target].p90
        np.testing.assert_array_equal(mine[past], theirs[past])


def read_own():
    with gzip.open(OWN, "rt") as stream:
        lines = list(csv.DictReader(stream))
    for run in sorted({line["run_id"] for line in lines}):
        mine = [line for line in lines if line["run_id"] == run]
        names = ("t_s", "cpu_seconds_total", "rss_bytes")
        columns = [np.array([float(line[n]) for line in mine]) for n in names]
        values = make_windows(*columns, width_s=1.0)
        yield Series(run, run, mine[0]["kind"], 0.0, 1.0, values)


def test_unseen__programs_are_not_served_worse_than_by_persistence(trained):
    _, predictor, _ = trained
    series = list(read_own())
    assert all((one.values[:, 0] >= 0).all() for one in series)
    assert max(one.values[:, 0].max() for one in series) < 3  # of 2 cores
    rows = {target: make_examples(series, target) for target in TARGETS}
    every = np.ones(len(rows["cpu"].series), bool)
    figures = evaluate(predictor, rows, every, every, ~every)
    assert min(f.get_skill() for f in figures) > -0.02
    assert min(f.get_skill("mae_model") for f in figures) < -0.1  # the guard has worked
