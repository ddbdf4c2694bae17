"""METASPACE-ML: a CatBoost model that scores ions instead of MSM.

Wadie et al., METASPACE-ML, Nature Communications 15 (2024). The user gives the model.
"""

from collections.abc import Callable

import numpy as np

from hpc_connector.errors import BadInput

Model = Callable[[np.ndarray], np.ndarray]


def load_model(path: str) -> Model:
    """Return the scoring function of a ``.cbm`` file.

    It takes chaos, spatial, spectral and the negated errors of m/z, shape (ions, 5).

    Raises
    ------
    BadInput
        CatBoost is not installed, or the file is no such model.
    """
    try:
        from catboost import CatBoost, CatBoostError
    except ImportError:
        raise BadInput(
            "--model needs catboost: expected pip install 'hpc_connector[ml]'"
        ) from None
    model = CatBoost()
    try:
        model.load_model(path)
    except CatBoostError as error:
        raise BadInput(f"{path} is no CatBoost model: {error}") from None

    def score(features: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict(features))

    return score
