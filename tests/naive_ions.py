"""Ions of formulas and modifiers, one after the other: slow, and plain."""

import numpy as np

from hpc_connector.learner.annotation.decoys import list_candidates
from hpc_connector.learner.annotation.formulas import parse_formula
from hpc_connector.learner.annotation.modifiers import make_modifiers, parse_modifier


def draw_decoys(n_formulas, n_draws, n_candidates, *, number=20, seed=42):
    """Return decoys drawn with NumPy's shuffle, shape (formulas, draws, number)."""
    rng = np.random.RandomState(seed)
    drawn = np.empty((n_formulas * n_draws, number), np.int64)
    for row in drawn:
        shuffled = np.arange(n_candidates)
        rng.shuffle(shuffled)
        row[:] = shuffled[:number]
    return drawn.reshape(n_formulas, n_draws, number)


def make_ion(formula, modifier):
    """Return the atoms of an ion, None where they run short or none is left."""
    counts = parse_formula(formula.replace(".", "").replace("=", ""))
    for step in parse_modifier(modifier):
        for element, n in step.items():
            counts[element] = counts.get(element, 0) + n
        if min(counts.values()) < 0:
            return None
    return tuple(sorted((e, n) for e, n in counts.items() if n)) or None


def make_ions(databases, chemistry):
    """Return formula, modifier and atoms of each ion, and the ions of each database.

    The latter are those of targets, shape (formulas, targets), and of decoys, shape
    (formulas, targets, decoys), each a list of -1 or numbers.
    """
    pairs = make_modifiers(
        chemistry.chem_mods, chemistry.neutral_losses, chemistry.adducts
    )
    targets = [prefix + adduct for prefix, adduct in pairs]
    excluded = {*chemistry.adducts, *chemistry.neutral_losses, *chemistry.chem_mods}
    adducts = list_candidates(excluded)
    prefixes = list(dict.fromkeys(prefix for prefix, _ in pairs))
    decoys = [prefix + adduct for prefix in prefixes for adduct in adducts]
    modifiers = [*targets, *decoys]
    places = {}  # of pairs: database, row, target, decoy or -1
    for d, formulas in enumerate(databases):
        n_draws = 1 if chemistry.version == 3 else len(targets)
        drawn = draw_decoys(
            len(formulas),
            n_draws,
            len(adducts),
            number=chemistry.n_decoys,
            seed=chemistry.seed,
        )
        for f, formula in enumerate(formulas):
            for t, (prefix, _) in enumerate(pairs):
                places.setdefault((formula, t), []).append((d, f, t, -1))
                for k, decoy in enumerate(drawn[f, t % n_draws]):
                    m = len(targets) + prefixes.index(prefix) * len(adducts) + decoy
                    places.setdefault((formula, int(m)), []).append((d, f, t, k))
    first = {
        formula: k
        for k, formula in enumerate(
            dict.fromkeys(f for names in databases for f in names)
        )
    }
    shape = len(targets), chemistry.n_decoys
    found = [
        (np.empty((len(f), shape[0]), int), np.empty((len(f), *shape), int))
        for f in databases
    ]
    ions, made_of = {}, []
    for formula, m in sorted(places, key=lambda pair: (first[pair[0]], pair[1])):
        ion = make_ion(formula, modifiers[m])
        number = -1 if ion is None else ions.setdefault(ion, len(ions))
        if number == len(made_of):
            made_of.append((formula, modifiers[m], ion))
        for d, f, t, k in places[formula, m]:
            if k < 0:
                found[d][0][f, t] = number
            else:
                found[d][1][f, t, k] = number
    return made_of, found
