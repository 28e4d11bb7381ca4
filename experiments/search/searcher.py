"""A search in a folder: its candidates, their scores, and its continuation.

search.json is written before and after every rung. So the same command continues with the same
candidates, and a larger R deepens them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from experiments import data, record
from experiments.config.data import PLACES
from experiments.config.fields import flat, to_dict
from experiments.config.run import RunConfig
from experiments.launchers import Launcher
from experiments.plan.run import Run
from experiments.record import SearchCandidate, SearchCost, SearchMethod, SearchRecord
from experiments.search import samplers
from experiments.search.cost import Cost, Totals, spent
from experiments.search.plan import METHODS, Search, halve, longer, raises
from experiments.search.promotion import Evaluator, Watching
from experiments.search.samplers import Tried
from experiments.search.samplers.random import candidates as at_random
from experiments.sweep.preflight import check_budgets, check_data
from scaling.common import files
from scaling.common.errors import UserError


@dataclass
class Searcher:
    """A search with its corpora and its folder; `run` continues it."""

    search: Search
    sampler: str
    corpora: data.Corpora
    evaluator: Evaluator
    greatest: tuple[int, ...]  # the values of R so far, the search's last
    tried: dict[RunConfig, Tried]  # in the order in which they were sampled

    def run(self) -> None:
        """Search to the end.

        Raises:
            UnfinishedError: interrupted, or a run failed; the same search continues.
        """
        halve(self.search, self.greatest, self._candidates(), self._evaluate)
        self._write(finished=True)

    def ranked(self) -> list[RunConfig]:
        """Candidates with a score: most tokens first, then by loss; diverged ones come last."""

        def key(candidate: RunConfig) -> tuple[bool, int, float]:
            tokens, loss = max(self.tried[candidate].scores.items())
            return math.isnan(loss), -tokens, loss

        return sorted((one for one, tried in self.tried.items() if tried.scores), key=key)

    def totals(self) -> Totals:
        return spent(self.search, self.evaluator.runs)

    def _candidates(self) -> Iterator[RunConfig]:
        search = self.search
        yield from list(self.tried)  # of earlier calls
        sampler = samplers.sampler(self.sampler)
        for fields in sampler(search.space, search.base.science.seed, self.tried.values()):
            candidate = search.config(fields)
            self.tried[candidate] = Tried(fields)
            yield candidate

    def _evaluate(self, candidates: Sequence[RunConfig], budget: Fraction) -> Sequence[float]:
        self._write(finished=False)
        scores = self.evaluator(candidates, budget)
        for candidate, score in zip(candidates, scores, strict=True):
            self.tried[candidate].scores[self.search.tokens(budget)] = score
        self._write(finished=False)
        return scores

    def _write(self, *, finished: bool) -> None:
        search = self.search
        runs: dict[RunConfig, dict[int, str]] = {one: {} for one in self.tried}
        for (candidate, budget), run in self.evaluator.runs.items():
            runs[candidate][search.tokens(budget)] = run.run_id
        entries = {one: _entry(tried, runs[one]) for one, tried in self.tried.items()}
        found = SearchRecord(
            question=search.question,
            method=search.method,
            R=self.greatest,
            finished=finished,
            search=_method(search, self.sampler),
            space=_space(search),
            base=_base(search),
            cost={name: _cost(cost) for name, cost in vars(self.totals()).items()},
            best=next((entries[one] for one in self.ranked()), None),
            candidates=tuple(entries.values()),
        )
        record.write(self.evaluator.folder, found)


def bind(
    search: Search,
    sampler: str,
    folder: Path,
    cache: Path,
    launcher: Launcher,
    watching: Watching,
    tell: Callable[[str], None] = lambda text: None,
) -> Searcher:
    """Prepare the corpora, check the candidates, and read the search that the folder holds.

    Raises:
        UserError: another search or a study is in the folder, the search cannot continue to R, the
        sampler is not installed, the corpus is too small, or candidates cannot be trained.
    """
    samplers.sampler(sampler)
    corpora = data.Corpora(cache, tell)
    mark = corpora.mixture(search.base.science.data).fingerprint
    search = search.override([f"data.fingerprint={mark}"])
    most = search.tokens(Fraction(search.R))
    drawn = islice(at_random(search.space, search.base.science.seed), search.candidates)
    configs = [search.config(fields) for fields in drawn]
    longest = [Run(longer(config, most), rung=0) for config in configs]
    check_data(longest, corpora)
    check_budgets(longest, corpora)
    found = _found(search, sampler, folder)
    candidates = found.candidates if found else ()
    return Searcher(
        search,
        sampler,
        corpora,
        Evaluator(
            search.name, folder, cache, launcher, search.base.science.budget.tokens, watching
        ),
        raises(search, found.R if found else ()),
        {search.config(one.fields): Tried(one.fields) for one in candidates},
    )


def _found(search: Search, sampler: str, folder: Path) -> SearchRecord | None:
    """Read search.json and check that it is of this search; None without one."""
    if not (folder / record.SEARCH).exists():
        if (folder / record.STUDY).exists():
            raise UserError(f"{folder}: holds a study; choose another folder with --out")
        return None
    found = record.read(folder, SearchRecord)
    if METHODS[found.method] is not METHODS[search.method]:
        raise UserError(_other(folder, "method", found.method, search.method))
    sections: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = (
        (files.plain(found.search), files.plain(_method(search, sampler))),
        (found.space, _space(search)),
        (found.base, _base(search)),
    )
    for theirs, ours in sections:
        for name in {**ours, **theirs}:
            a, b = (known.get(name, "(absent)") for known in (theirs, ours))
            if a != b and name not in PLACES:  # the same text, by its fingerprint, may move
                raise UserError(_other(folder, name, a, b))
    return found


def _other(folder: Path, name: str, found: Any, now: Any) -> str:
    return (
        f"{folder}: holds a search with {name}={found}, now {now}; choose another folder with --out"
    )


def _method(search: Search, sampler: str) -> SearchMethod:
    return SearchMethod(
        name=search.name, eta=search.eta, promotion=search.promotion, sampler=sampler
    )


def _space(search: Search) -> dict[str, str]:
    return {name: str(kind) for name, kind in search.space.items()}


def _base(search: Search) -> dict[str, Any]:
    return dict(flat(to_dict(search.base.science)))


def _entry(tried: Tried, runs: Mapping[int, str]) -> SearchCandidate:
    scores = {tokens: None if math.isnan(loss) else loss for tokens, loss in tried.scores.items()}
    return SearchCandidate(fields=tried.fields, scores=scores, runs=runs)


def _cost(cost: Cost) -> SearchCost:
    return SearchCost(
        units=float(cost.units), tokens=float(cost.tokens), flops_model=float(cost.flops_model)
    )
