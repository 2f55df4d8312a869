"""Requests to a server: when they are sent, and which of them stand for its steady state. Sends none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from energy_rating.benchmarking.work import Done, Stretch
from energy_rating.nouns.records import Finding, Number
from energy_rating.nouns.work import Work

# ------------------------------------------------------------------------------------------------------------ serving


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """One request as its log tells it: when it was sent, when its first token and its last one came (``time.monotonic()``).

    ``work`` is what the server says that it did (never counted from chunks). ``token_s``: when each piece came, where it was
    streamed; the tokens of ``work`` are then spread over the pieces, else evenly from the first to the last.
    """

    sent_s: float
    first_s: float
    end_s: float
    work: Mapping[str, Number]
    token_s: Sequence[float] = ()

    def tokens_between(self, start_s: float, end_s: float) -> float:
        """How many of its tokens came in that time."""
        tokens = self.work.get("token", 0)
        if self.token_s:
            return tokens * sum(start_s < time_s <= end_s for time_s in self.token_s) / len(self.token_s)
        if self.end_s <= self.first_s:
            return tokens if start_s < self.end_s <= end_s else 0
        inside_s = min(end_s, self.end_s) - max(start_s, self.first_s)
        return tokens * max(0.0, inside_s) / (self.end_s - self.first_s)


# Requests of the steady part by their tokens, over those by their own time in it. In 2,700 simulated streams of at least 32 requests (lengths of answers that scatter by
# 30 to 150 %, two to four times as many requests as at once) it was 1.06 at most: long answers end late, which makes it small.
UNEVEN, EVEN_FROM = 1.1, 32

# Where requests come by themselves, the first and the last tenth of them are the coming up and the running down.
ARRIVING_SHARE = 0.1


def served(
    answered: Sequence[Answered], *, concurrency: int | None, findings: Sequence[Finding] = ()
) -> Done:
    """All the work of a stream of requests, and the part of it in which the server was kept full.

    ML.ENERGY's rule (v3, ``benchmark.py``): the steady part begins when ``concurrency`` requests have had their first token, and
    ends when all but ``concurrency + 1`` are done. Its tokens are those that came in it; its requests are its tokens over the
    mean output of a request, so that what is half done at an edge counts half. Requests without tokens count when they end.

    Args:
        answered: the log, in any order.
        concurrency: how many are under way at once; None where they come by themselves, at a rate.
        findings: what else is to be said.

    Returns:
        ``steady`` is None, with a finding, where there were too few requests for it (fewer than about 2 × concurrency + 2).
    """
    work = Work.total(one.work for one in answered)
    edges = _steady_edges(answered, concurrency)
    if edges is None:
        asked = f"{len(answered)} requests" + (f" of which {concurrency} at once" if concurrency else "")
        too_few = Finding.of(
            "no-steady-part",
            f"{asked} are too few for a part in which the server was kept full; the figure is that of the whole",
            measurement="measured",
        )
        return Done(work=work, findings=(*findings, too_few))
    start_s, end_s = edges
    steady = Stretch(
        name="steady", start_s=start_s, end_s=end_s, work=_work_between(answered, work, start_s, end_s)
    )
    return Done(work=work, steady=steady, findings=(*findings, *_uneven(answered, steady)))


def _uneven(answered: Sequence[Answered], steady: Stretch) -> Iterator[Finding]:
    """Where the steady part counts more requests than it held: those at its edges had fewer tokens, as nobody's do by chance."""
    with_tokens = [one for one in answered if one.work.get("token")]
    held = sum(one.tokens_between(steady.start_s, steady.end_s) / one.work["token"] for one in with_tokens)
    counted = steady.work.get("request", 0)
    if len(with_tokens) >= EVEN_FROM and counted > UNEVEN * held:
        yield Finding.of(
            "steady-part-uneven",
            f"the part in which the server was kept full counts as {counted:,.1f} requests by its tokens, and held {held:,.1f}: answers at its edges "
            "were shorter than those inside",
            measurement="measured",
        )


def _steady_edges(answered: Sequence[Answered], concurrency: int | None) -> tuple[float, float] | None:
    n = len(answered)
    if concurrency is None:
        edge = math.ceil(ARRIVING_SHARE * n)
        sent = sorted(one.sent_s for one in answered)
        found = (sent[edge], sent[n - edge - 1]) if n > 2 * edge + 1 else None
    else:
        last = n - concurrency - 2
        firsts, ends = sorted(one.first_s for one in answered), sorted(one.end_s for one in answered)
        found = (firsts[concurrency - 1], ends[last]) if last >= 0 and concurrency <= n else None
    return found if found is not None and found[0] < found[1] else None


def _work_between(answered: Sequence[Answered], work: Work, start_s: float, end_s: float) -> Work:
    tokens = work.get("token", 0)
    if tokens:
        share = sum(one.tokens_between(start_s, end_s) for one in answered) / tokens
        return share * work
    return Work.total(one.work for one in answered if start_s < one.end_s <= end_s)


def mean_at_once(answered: Sequence[Answered], part: Stretch | None) -> float | None:
    """How many were under way on average, by the log of an engine that says when it took each up; ``part``: in that time alone."""
    if not answered:
        return None
    start_s = part.start_s if part is not None else min(one.sent_s for one in answered)
    end_s = part.end_s if part is not None else max(one.end_s for one in answered)
    inside_s = math.fsum(max(0.0, min(one.end_s, end_s) - max(one.sent_s, start_s)) for one in answered)
    return inside_s / (end_s - start_s) if end_s > start_s else None


def poisson_times(n: int, rate: float, seed: int) -> tuple[float, ...]:
    """When each of n requests is sent, in seconds from the start: gaps of a Poisson process, the same for the same seed."""
    import random

    source = random.Random(seed)  # noqa: S311  no secret
    now, times = 0.0, []
    for _ in range(n):
        times.append(now)
        now += source.expovariate(rate)
    return tuple(times)
