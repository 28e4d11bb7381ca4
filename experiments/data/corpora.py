"""Corpora of a cache folder, each opened once, and their mixtures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from experiments.config.data import JOINED, CorpusConfig, DataConfig, Split, parts
from experiments.config.run import Science
from experiments.data.build import Progress
from experiments.data.cache import prepare, silent
from experiments.data.corpus import Corpus
from experiments.data.mixture import MixedTokens
from experiments.data.sources import source_of
from experiments.data.store import MEMORY_LIMIT, TokenStore
from experiments.data.tokenizer import Tokenizer
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Mixture:
    """The data of one run: sources of one vocabulary, and how it draws from them.

    The fields but `corpora` are those of `MixedTokens`; `names` are of the sources, by default the
    fingerprints of their corpora.
    """

    corpora: tuple[Corpus, ...]
    weights: tuple[float, ...] = (1.0,)
    stages: tuple[int, ...] = ()
    unique_tokens: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Identity of the corpora in their order; the weights are not in it."""
        return JOINED.join(corpus.fingerprint for corpus in self.corpora)

    @property
    def vocab_size(self) -> int:
        return self.corpora[0].vocab_size

    @property
    def tokenizer(self) -> Tokenizer:
        return self.corpora[0].tokenizer

    @property
    def train(self) -> MixedTokens:
        stores = tuple(corpus.train for corpus in self.corpora)
        return MixedTokens(stores, self.weights, self.stages, self.unique_tokens)

    @property
    def texts(self) -> dict[str, Corpus]:
        """The corpora by name; of sources of one text, the first."""
        found: dict[str, tuple[str, Corpus]] = {}
        for name, corpus in zip(self.sources, self.corpora, strict=True):
            found.setdefault(corpus.fingerprint, (name, corpus))
        return dict(found.values())

    @property
    def valid(self) -> tuple[TokenStore, ...]:
        return tuple(corpus.valid for corpus in self.texts.values())

    def bytes_per_token(self, split: Split) -> float:
        """Mean over the texts, for nats/byte = nats/token / bytes_per_token.

        Validation has equally many windows of each text, so the plain mean is exact.
        """
        texts = self.texts.values()
        return sum(corpus.bytes_per_token(split) for corpus in texts) / len(texts)

    def tokens_by_source(self, science: Science) -> dict[str, int]:
        """Training targets of a run from each source."""
        seen = self.train.targets(science.seed, science.tokens, science.batch.seq_len)
        return dict(zip(self.sources, seen, strict=True))

    def unique_by_source(self, science: Science) -> dict[str, int]:
        """Different targets that a run may draw from each source."""
        unique = self.train.targets_per_epoch(science.batch.seq_len)
        return dict(zip(self.sources, unique, strict=True))

    def repeats_by_source(self, science: Science) -> dict[str, int]:
        """Most times that a run sees a target of each source."""
        most = self.train.repeats(science.seed, science.tokens, science.batch.seq_len)
        return dict(zip(self.sources, most, strict=True))

    def weights_by_source(self, science: Science) -> dict[str, float]:
        """Share of the run's windows that was asked of each source, over all its stages."""
        ends = (0, *self.stages, science.tokens)
        K = len(self.corpora)
        return {
            name: sum(
                self.weights[i * K + k] * (end - begin) / max(1, science.tokens)
                for i, (begin, end) in enumerate(pairwise(ends))
            )
            for k, name in enumerate(self.sources)
        }

    def epochs_by_source(self, science: Science) -> dict[str, float]:
        """Mean times that a run sees a target of each source."""
        unique, seen = self.unique_by_source(science), self.tokens_by_source(science)
        return {name: seen[name] / unique[name] for name in self.sources}

    def entropy_by_source(self) -> dict[str, float]:
        """Nats per byte that the rules of each generator leave open, by the name of its text."""
        known = {name: source_of(corpus.config).entropy for name, corpus in self.texts.items()}
        return {name: find(self.texts[name].config) for name, find in known.items() if find}

    def epochs(self, science: Science) -> float:
        """Mean times that a run sees a target of its sources."""
        return science.tokens / sum(self.train.targets_per_epoch(science.batch.seq_len))

    @property
    def sources(self) -> tuple[str, ...]:
        """The name of each source."""
        names = self.names or ("",) * len(self.corpora)
        return tuple(
            name or corpus.fingerprint for name, corpus in zip(names, self.corpora, strict=True)
        )


class Corpora:
    """Prepares corpora under a cache folder at their first use, and keeps them open.

    A given tokenizer takes the place of their own. Splits of up to `memory_limit` bytes are read
    and held in memory; the others are opened when a window of theirs is read.
    """

    def __init__(
        self,
        cache: Path,
        progress: Progress = silent,
        tokenizer: Tokenizer | None = None,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self._cache, self._progress, self._tokenizer = cache, progress, tokenizer
        self._memory_limit = memory_limit
        self._open: dict[CorpusConfig, Corpus] = {}
        self._mixtures: dict[DataConfig, Mixture] = {}

    def mixture(self, data: DataConfig) -> Mixture:
        """The data of a run.

        Raises:
            UserError: as `experiments.data.cache.prepare`, or unnamed sources are the same text.
        """
        if data in self._mixtures:
            return self._mixtures[data]
        found = parts(data)
        mixture = Mixture(
            corpora=tuple(self._corpus(part.corpus) for part in found),
            weights=data.weights or (1.0,) * (len(data.stages) + 1),
            stages=data.stages,
            unique_tokens=data.unique_tokens,
            names=tuple(part.name for part in found),
        )
        if len(set(mixture.sources)) < len(found):
            raise UserError(
                f"data.corpora={','.join(data.corpora)}: two are the same text; name them, "
                "a=source:path, to draw disjoint parts of it"
            )
        return self._mixtures.setdefault(data, mixture)

    def opened(self) -> tuple[Corpus, ...]:
        """The corpora that are open, in the order of opening."""
        return tuple({corpus.fingerprint: corpus for corpus in self._open.values()}.values())

    def describe(self) -> str:
        """One line for each open corpus."""
        return "\n".join(corpus.describe() for corpus in self.opened())

    def _corpus(self, config: CorpusConfig) -> Corpus:
        if config not in self._open:
            found = prepare(
                config,
                self._cache,
                self._progress,
                tokenizer=self._tokenizer,
                memory_limit=self._memory_limit,
            )
            # one text is one store, whatever it is called: its parts are disjoint
            same = (each for each in self._open.values() if each.fingerprint == found.fingerprint)
            found = next(same, found)
            known = replace(config, fingerprint=found.fingerprint)
            self._open[config] = self._open.setdefault(known, found)
        return self._open[config]
