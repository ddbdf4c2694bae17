"""Arrays to arrays: epistasis by MDR, and annotation of metabolites.

The names are those of deliverable D2.2.
"""

from hpc_connector.learner.annotation.fdr import run_fdr
from hpc_connector.learner.annotation.ion_images import annotate
from hpc_connector.learner.annotation.ions import make_ions
from hpc_connector.learner.annotation.patterns import calculate_centroids
from hpc_connector.learner.mdr.mdr import (
    apply_mdr_dict,
    applyMdrDict,
    filter_imputation,
    get_error,
    get_risk_array,
    transform_patients,
)

build_database = make_ions

__all__ = [
    "annotate",
    "applyMdrDict",
    "apply_mdr_dict",
    "build_database",
    "calculate_centroids",
    "filter_imputation",
    "get_error",
    "get_risk_array",
    "run_fdr",
    "transform_patients",
]
