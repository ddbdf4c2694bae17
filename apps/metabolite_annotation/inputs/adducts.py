"""The ions of a search by its options: adducts, neutral losses and modifications."""

from collections.abc import Callable, Sequence

from hpc_connector.errors import BadInput
from hpc_connector.learner.annotation.ions import Chemistry
from hpc_connector.learner.annotation.modifiers import (
    Adduct,
    drop_repeated,
    get_charge,
    read_adduct,
    read_modifier,
)
from metabolite_annotation.inputs.acquisition import SIGNS, Choice
from metabolite_annotation.options import Options

ADDUCTS = {"positive": ("+H", "+Na", "+K"), "negative": ("-H", "+Cl")}
REPEATED = "adducts, losses and modifications given twice were taken once"


def read_adducts(options: Options) -> list[Adduct]:
    """Return the adducts that the user chose, nothing where there is no choice.

    Raises
    ------
    BadInput
        One that cannot be read, or none at all.
    """
    if options.adducts is None:
        return []
    if not options.adducts:
        raise BadInput("--adducts: expected one or more, such as +H,+Na")
    return _read("--adducts", options.adducts, read_adduct)


def _read(
    option: str, texts: Sequence[str], read: Callable[[str], Adduct]
) -> list[Adduct]:
    """Return modifiers however they are written."""
    try:
        return [read(text) for text in texts]
    except ValueError as error:
        raise BadInput(f"{option}: {error}") from None


def make_chemistry(
    options: Options, adducts: Sequence[Adduct], polarity: Choice
) -> tuple[Chemistry, dict[str, int]]:
    """Return the changes of a molecule that are looked for, and counts of the options.

    Parameters
    ----------
    adducts
        Of the user, nothing for those of the polarity.

    Raises
    ------
    BadInput
        Adducts that make ions of the other polarity, or none.
    """
    chosen = list(adducts) or [Adduct(text) for text in ADDUCTS[polarity.value]]
    check_charges(chosen, polarity, options.dataset)
    parts = [
        chosen,
        _read("--neutral-losses", options.neutral_losses, read_modifier),
        _read("--chem-mods", options.chem_mods, read_modifier),
    ]
    unique = [drop_repeated(part) for part in parts]
    texts, losses, mods = (tuple(one.text for one in part) for part in unique)
    n_repeated = sum(map(len, parts)) - sum(map(len, unique))
    chemistry = Chemistry(
        texts, losses, mods, options.decoys, options.analysis_version, options.seed
    )
    return chemistry, {REPEATED: n_repeated}


def check_charges(adducts: Sequence[Adduct], polarity: Choice, dataset: str) -> None:
    """Refuse adducts that do not make ions of the polarity of a dataset.

    Raises
    ------
    BadInput
        With how to insist, as in ``[M-H]+``.
    """
    sign = SIGNS[polarity.value]
    wrong = [a.text for a in adducts if get_charge(a) not in (sign, None)]
    if wrong:
        expected = ", ".join(ADDUCTS[polarity.value])
        change = "" if wrong[0].startswith("[M]") else wrong[0]
        insisted = f"[M{change}]{'+' if sign > 0 else '-'}"
        raise BadInput(
            f"--adducts: {', '.join(wrong)} make no {polarity.value} ions, but "
            f"{dataset} is {polarity}: expected such as {expected}, or {insisted} if "
            "that is meant"
        )
