"""A model in a folder: card.json says what it is, arrays.npz holds its numbers.

Nothing of it is code: no pickle, so a model of somebody else can at worst be wrong.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from hpc_connector.errors import BadInput
from hpc_connector.forecast.features import HORIZONS, get_feature_names, make_examples
from hpc_connector.forecast.models import KINDS, LEARN_NOTHING, NODES
from hpc_connector.forecast.predictor import Predictor, get_forecasts
from hpc_connector.forecast.windows import TARGETS, Series
from hpc_connector.publish import publish
from hpc_connector.storage.checksums import get_checksum

FORMAT_VERSION = 1
CARD, ARRAYS = "card.json", "arrays.npz"
MOST_LAGS = 1000
PACKAGES = ("hpc_connector", "numpy", "scikit-learn")


def save_model(directory: Path, predictor: Predictor, about: Mapping[str, Any]) -> None:
    """Write a model and its card; `about` is added to the card as it is."""
    directory.mkdir(parents=True, exist_ok=True)
    arrays = {f"{k}/{n}": a for k, f in predictor.fitted.items() for n, a in f.items()}
    arrays |= {f"{target}/offsets": a for target, a in predictor.offsets.items()}
    with publish(directory / ARRAYS) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    card = {
        "format_version": FORMAT_VERSION,
        "kind": predictor.kind,
        "recursive": predictor.recursive,
        "lags": predictor.lags,
        "horizons": HORIZONS,
        "window_s": predictor.width_s,
        "targets": list(TARGETS),
        "features": get_feature_names(predictor.lags),
        **about,
        "versions": get_versions(),
        "arrays_sha256": get_checksum(str(directory / ARRAYS)),
    }
    with publish(directory / CARD) as stream:
        stream.write(f"{json.dumps(card, indent=2)}\n".encode())


def get_versions() -> dict[str, str]:
    """Return the versions of what a model is made with."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def load_model(directory: Path) -> tuple[Predictor, dict[str, Any]]:
    """Return a model and its card.

    Raises
    ------
    BadInput
        It is none, of another version, made for other features, or damaged.
    """
    card = _read_card(directory / CARD)
    try:
        predictor = Predictor(
            kind=card["kind"],
            lags=int(card["lags"]),
            width_s=float(card["window_s"]),
            recursive=bool(card["recursive"]),
            **_read_arrays(directory, card),
        )
        _try_out(predictor)
    except BadInput:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise BadInput(f"{directory}: the model is damaged: {error!r}") from None
    return predictor, card


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise BadInput(
            f"{path.parent} holds no model: expected {CARD} in it, as train writes it"
        ) from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is not a model card: {error}") from None
    found = card.get("format_version") if isinstance(card, dict) else None
    if found != FORMAT_VERSION:
        raise BadInput(
            f"{path} has model format {found}; this version reads {FORMAT_VERSION}: "
            "train again"
        )
    lags: Any = card.get("lags")
    is_fit = isinstance(lags, int) and 3 <= lags <= MOST_LAGS
    wanted = {
        "features": get_feature_names(lags) if is_fit else None,
        "targets": list(TARGETS),
        "horizons": HORIZONS,
        "kind": card.get("kind") if card.get("kind") in KINDS else sorted(KINDS),
    }
    for name, value in wanted.items():
        if card.get(name) != value:
            raise BadInput(
                f"{path}: the model's {name} are not those of this version; train again"
            )
    return card


def _read_arrays(directory: Path, card: dict[str, Any]) -> dict[str, Any]:
    path = directory / ARRAYS
    if not path.is_file():
        raise BadInput(f"{directory}: no {ARRAYS} beside {CARD}: copy both")
    if get_checksum(str(path)) != card.get("arrays_sha256"):
        raise BadInput(f"{path} is not the file that {CARD} describes: copy both again")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} holds no plain numbers: {error}") from None
    fitted: dict[str, dict[str, np.ndarray]] = {}
    for name, array in found.items():
        if array.dtype.kind not in "fi" or not np.isfinite(array).all():
            raise BadInput(f"{path}: {name} holds something else than finite numbers")
        part, _, inner = name.rpartition("/")
        fitted.setdefault(part, {})[inner] = array
    offsets = {target: fitted[target].pop("offsets") for target in TARGETS}
    fitted = {name: f for name, f in fitted.items() if name not in TARGETS}
    if card["kind"] in LEARN_NOTHING:
        steps = range(1, 2 if card["recursive"] else 1 + HORIZONS)
        fitted = {f"{target} {h}": {} for target in TARGETS for h in steps}
    for name, model in fitted.items():
        if card["kind"] == "hgb":
            _check_trees(f"{path}: {name}", model, len(card["features"]))
    return {"fitted": fitted, "offsets": offsets}


def _check_trees(where: str, trees: Mapping[str, np.ndarray], n_features: int) -> None:
    """Refuse trees that lead out of themselves, or round in circles."""
    shapes = {trees[name].shape for name in NODES}
    left, right, feature = trees["left"], trees["right"], trees["feature"]
    if len(shapes) != 1 or left.ndim != 2 or not left.shape[1]:
        raise BadInput(f"{where}: the model is damaged: nodes of different shapes")
    place = np.broadcast_to(np.arange(left.shape[1]), left.shape)
    inner = left != 0
    is_fit = (feature >= 0) & (feature < n_features)
    for child in (left, right):
        is_fit &= ~inner | ((child > place) & (child < left.shape[1]))
    if not is_fit.all():
        raise BadInput(f"{where}: the model is damaged: nodes that do not make a tree")


def _try_out(predictor: Predictor) -> None:
    """Forecast something, so that arrays of a wrong shape are found now."""
    values = np.ones((predictor.lags, len(TARGETS)))
    series: Sequence[Series] = [Series("", "", "", 0.0, predictor.width_s, values)]
    rows = {target: make_examples(series, target, predictor.lags) for target in TARGETS}
    for target, forecast in get_forecasts(predictor, rows).items():
        shapes = {predictor.offsets[target].shape, *(f.shape[1:] for f in forecast)}
        if shapes != {(HORIZONS,)}:
            raise ValueError(f"forecasts of shape {shapes}")
