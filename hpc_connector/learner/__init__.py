"""Arrays to arrays: multifactor dimensionality reduction."""

from hpc_connector.learner.mdr import (
    apply_mdr_dict,
    applyMdrDict,
    filter_imputation,
    get_error,
    get_risk_array,
    transform_patients,
)

__all__ = [
    "applyMdrDict",
    "apply_mdr_dict",
    "filter_imputation",
    "get_error",
    "get_risk_array",
    "transform_patients",
]
