"""Cohorts of several sites, searched in threads of this process and as one cohort."""

import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hpc_connector.federation.blocks import Local, Packed
from hpc_connector.federation.masks import get_keys
from hpc_connector.federation.pooled import RANK_BY
from hpc_connector.federation.stages import (
    Party,
    choose_variants,
    search_pairs,
    sum_sizes,
    sum_tables,
    sum_variants,
)
from hpc_connector.federation.study import Site, Study
from hpc_connector.federation.transport import Link, Room, ThreadTransport, get_type
from hpc_connector.learner.mdr import search as learner
from hpc_connector.learner.mdr.bitplanes import (
    get_source,
    make_arrangement,
    pack_genotypes,
)
from hpc_connector.learner.mdr.folds import make_folds
from mdr_epistasis.cohort.loading import make_cohort
from mdr_epistasis.federated.permutations import find_maxima
from mdr_epistasis.federated.result import describe, list_all
from mdr_epistasis.output.models import describe as describe_one
from mdr_epistasis.runner import make_search
from mdr_epistasis.tasks import get_best, make_tasks, search_all

GOLDEN = Path(__file__).parent / "data" / "federation"


@dataclass(frozen=True)
class Recorder:
    """A transport that keeps what leaves the site."""

    inner: Any
    sent: list[Any] = field(default_factory=list)

    @property
    def is_scorer(self):
        return self.inner.is_scorer

    def add(self, stage, block, make):
        if make is None:
            return self.inner.add(stage, block, None)
        numbers = make()
        self.sent.append((stage, block, numbers.copy()))
        return self.inner.add(stage, block, lambda: numbers)

    def tell(self, value):
        return self.inner.tell(value)

    def gather(self, value):
        return self.inner.gather(value)


@dataclass(frozen=True)
class Outcome:
    """What a party ends with; from `best` on of who scores alone."""

    kept: Any
    sent: list[Any]
    counts: dict[str, int]
    best: Any
    pooled: Any
    tables: Any
    columns: Any
    maxima: Any = None


def make_study(n_sites, **settings):
    names = [f"site{k}" for k in range(n_sites)]
    known = {"name": "study", "salt": "salt", "reference": Path("list.bim")}
    known |= {"sites": tuple(map(Site, names)), "sha256": "0" * 64}
    return Study(**(known | settings))


def pack(genotypes, is_case, fold, folds):
    arrangement = make_arrangement(is_case, fold, folds)
    source = get_source(arrangement, np.arange(len(is_case)))
    return Packed(
        pack_genotypes(np.ascontiguousarray(genotypes), source)[0], arrangement
    )


def make_local(genotypes, is_case, fold, folds):
    whole = pack(genotypes, is_case, np.zeros_like(fold), 1)
    present = np.ones(len(genotypes), bool)
    return Local(pack(genotypes, is_case, fold, folds), whole, present)


def add_parts(parts, dtype):
    """Return the numbers of parts of a block, without masks."""
    added = []
    for n, add in parts:
        added.append(np.zeros(n, dtype))
        add(added[-1])
    return np.concatenate(added)


def take_part(study, transport, name, keys, part, n_variants, prune):
    """Do what a party does, a hub without genotypes too; return how it ends."""
    recorder = Recorder(transport)
    link = Link(recorder, name, keys)
    local = sizes = None
    if part is not None:
        genotypes, is_case, fold = part
        local = make_local(genotypes, is_case, fold, study.folds)
        sizes = int(is_case.sum()), int((1 - is_case).sum())
    total = sum_sizes(link, sizes)
    party = Party(study, link, local, n_variants, get_type(sum(total)))
    counts = sum_variants(party, total)
    kept, pooled = choose_variants(party, counts)
    if prune is not None:
        kept = kept._replace(by_folds=not prune)
    best = search_pairs(party, kept, pooled)
    models = link.tell(None if best is None else list_all(best, study.folds)[2])
    tables = sum_tables(party, kept, pooled, models)
    about = party, total, kept, pooled
    maxima = find_maxima(*about) if study.permutations else None
    columns = None
    if pooled is not None:
        chromosome = np.array(["1"] * len(kept.layout.rows), np.dtypes.StringDType())
        columns = describe(pooled, kept, best, tables, {"chromosome": chromosome})
    told = pooled, tables, columns, maxima
    return Outcome(kept, recorder.sent, link.sent, best, *told)


def draw_keys(names, seed):
    """Return private keys of masks and the run of an attempt, of a seed if it is given.

    Only tests take them of a seed.
    """
    draw = secrets.token_bytes if seed is None else np.random.default_rng(seed).bytes
    private = {name: X25519PrivateKey.from_private_bytes(draw(32)) for name in names}
    return private, draw(32)


def federate(study, parts, *, prune=None, spoil=None, hub=False, seed=None):
    """Search over sites in threads; return the outcome of each.

    Parameters
    ----------
    parts
        Genotypes, who is a case, and folds of each site.
    spoil
        Called with the place of a site and its transport, returns another one.
    hub
        One thread more, without genotypes, scores: the last outcome is its.
    seed
        Of keys; they are random otherwise.
    """
    n_sites = len(parts)
    parts = [*parts, None] if hub else parts
    room = Room(len(parts))
    names = [site.name for site in study.sites]
    private, run = draw_keys(names, seed)
    publics = {n: key.public_key().public_bytes_raw() for n, key in private.items()}
    outcomes, errors = [None] * len(parts), []

    def work(k):
        for_all = study.scorer == "sites"
        transport = ThreadTransport(room, k, for_all, scorer=n_sites if hub else 0)
        if spoil is not None:
            transport = spoil(k, transport)
        name, keys = "", {}
        if k < n_sites:
            name = names[k]
            keys = get_keys(private[name], name, publics, run)
        try:
            about = name, keys, parts[k], len(parts[0][0]), prune
            outcomes[k] = take_part(study, transport, *about)
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            errors.append(error)
            room.barrier.abort()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return outcomes


def search_pooled(study, parts):
    """Return best models and columns of one search of the pooled cohort."""
    genotypes, is_case, fold = (
        np.concatenate([part[k] for part in parts], axis=-1) for k in range(3)
    )
    cohort = make_cohort(
        genotypes, is_case, fold, [str(v) for v in range(len(genotypes))]
    )
    cohort.variants["chromosome"][:] = "1"
    n = len(genotypes)
    question = learner.Question(
        level=study.missing == "level",
        tie_low=study.tie == "low",
        rank_by=RANK_BY[study.rank_by if study.folds > 1 else "whole"],
        top=min(study.top, n * (n - 1) // 2),
    )
    search = make_search(cohort, question)
    tasks = make_tasks(cohort.planes.shape, 2, 0, None)
    best = get_best(search_all(search, tasks, 1))
    return best, describe_one(cohort, question, best, np.empty(0))


def draw_parts(rng, sizes, n_variants, *, missing, folds, mode):
    """Return random genotypes, labels and folds of sites."""
    maf = rng.uniform(0.05, 0.5, (n_variants, 1))
    lacks = rng.random((n_variants, 1)) < 0.5  # others are complete
    parts = []
    for n in sizes:
        genotypes = rng.binomial(2, maf, (n_variants, n)).astype(np.int8)
        genotypes[(rng.random((n_variants, n)) < missing) & lacks] = -1
        parts.append([genotypes, (rng.random(n) < 0.5).astype(np.int8)])
    is_case = np.concatenate([part[1] for part in parts])
    if mode == "hash":
        fold = rng.integers(0, folds, len(is_case))
    else:
        fold = make_folds(is_case, folds, rng)
    ends = np.cumsum(sizes)
    of_sites = np.split(fold, ends[:-1])
    return [(*part, f) for part, f in zip(parts, of_sites, strict=True)]


def draw_trial(seed):
    """Return a random study and its sites."""
    rng = np.random.default_rng(seed)
    n_sites, folds = int(rng.integers(3, 7)), int(rng.integers(2, 11))
    mode = str(rng.choice(["hash", "dealt"]))
    settings = {
        "folds": folds,
        "fold_mode": mode,
        "rank_by": str(rng.choice(["test", "test", "train", "whole"])),
        "top": int(rng.choice([1, 10, 1000])),
        "missing": str(rng.choice(["exclude", "level"])),
        "tie": str(rng.choice(["high", "low"])),
        "cvc": str(rng.choice(["exact", "none"])),
        "min_maf": 0.0,
        "max_missing": 1.0,
    }
    study = make_study(n_sites, **settings)
    sizes = rng.integers(40, 500, n_sites)
    missing = float(rng.choice([0.0, 0.02, 0.1]))
    n_variants = int(rng.integers(5, 61))
    about = {"missing": missing, "folds": folds, "mode": mode}
    return study, draw_parts(rng, sizes, n_variants, **about)
