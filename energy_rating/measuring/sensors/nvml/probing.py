"""Finds out where a GPU's energy and power can be read, and whether they are the module's. Reads nothing for a journal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from energy_rating.measuring import probe
from energy_rating.measuring.sensors.nvml.binding import (
    AVERAGED,
    COUNTER,
    INSTANT,
    MODULE_AVERAGED,
    MODULE_COUNTER,
    MODULE_INSTANT,
    SCOPED_COUNTER,
    Call,
    Field,
    NoAnswer,
    Query,
    lies_between,
    those_answering,
)
from energy_rating.measuring.sensors.nvml.library import Library
from energy_rating.nouns.entries import Device

# Refresh of the instantaneous power: 100 ms on Turing to Hopper, 20 ms on Volta and Pascal (same source).
INSTANT_PERIOD_S = 0.1

# nvml.h, nvmlDeviceGetPowerUsage: "On Ampere (except GA100) or newer GPUs, the API returns power averaged over 1 sec
# interval." Older ones answer with the momentary power; they are taken for averaged too, which errs to the safe side.
AVERAGED_PERIOD_S = 1.0
_PROBED = (COUNTER, SCOPED_COUNTER, INSTANT, AVERAGED)
_MODULE_PROBED = (MODULE_COUNTER, MODULE_INSTANT, MODULE_AVERAGED)
_PAIRS = ((SCOPED_COUNTER, MODULE_COUNTER), (INSTANT, MODULE_INSTANT), (AVERAGED, MODULE_AVERAGED))
_WHOSE = "whose energy the counter counts"  # what is remembered of a GPU on a module

# Whose energy a counter counts is told by comparing its rate with the powers: for so long or so many ticks, whichever comes
# first (a counter ticks every 20 to 100 ms), and within this share. The whole opening of a run has a second.
COMPARED_S, COMPARED_TICKS, COMPARED_STEP_S = 0.6, 4, 0.005
COMPARED_WITHIN = 0.2

# A power that is this close to the module's is the module's.
ALMOST_MODULE = 0.95


class Probe(NamedTuple):
    """Where a GPU's energy, its power, and its momentary power can be read, or why not."""

    counter: Query | NoAnswer
    power: Query | NoAnswer
    instant: Query | NoAnswer
    module: Module | None = None
    answering: Mapping[str, str] = MappingProxyType({})

    @property
    def is_momentary(self) -> bool:
        """Whether its power is that of the moment, and not an average."""
        return not isinstance(self.instant, NoAnswer)


class Module(NamedTuple):
    """Where the energy and the power of the module that a GPU is on can be read, and what is to be said of the plain counter.

    ``took_counter``: the GPU's plain counter is the module's (None: it may be, and counts as such).
    """

    counter: Query | NoAnswer
    power: Query | NoAnswer
    power_period_s: float
    took_counter: bool | None


class Probing(Library):
    """The same, finding out where a GPU's energy and its power can be read."""

    def _probe(self, handle: Any, device: Device) -> Probe:
        nvml = self.nvml
        read_counter: Call = nvml.nvmlDeviceGetTotalEnergyConsumption
        before = self._ask("counter", read_counter, handle)
        fields = self._ask_fields(handle, _PROBED)
        after = self._ask("counter", read_counter, handle)
        plain = fields[COUNTER]
        counter: Query | NoAnswer
        if isinstance(before, NoAnswer) or isinstance(after, NoAnswer):
            refusal = next(answer for answer in (before, after) if isinstance(answer, NoAnswer))
            answering = (one for one in (COUNTER, SCOPED_COUNTER) if isinstance(fields[one], float))
            counter = next(answering, refusal)
        else:
            # As a field the counter comes in one call with the power; taken only if it is seen to be the same counter.
            same = isinstance(plain, float) and before <= plain <= after
            counter = COUNTER if same else read_counter

        power: Query | NoAnswer
        read_power: Call = nvml.nvmlDeviceGetPowerUsage
        instant = fields[INSTANT]
        if isinstance(instant, float):
            power = INSTANT
        elif isinstance(usage := self._ask("power", read_power, handle), float):
            power = read_power
        else:
            power = AVERAGED if isinstance(fields[AVERAGED], float) else usage
        found = Probe(
            counter=counter,
            power=power,
            instant=INSTANT if isinstance(instant, float) else instant,
            answering=those_answering(fields),
        )
        # Asked apart from the others: an older driver may refuse the whole call for a scope that it does not know.
        scoped = self._ask_fields(handle, _MODULE_PROBED)
        if not any(isinstance(answer, float) for answer in scoped.values()):
            return found
        return self._with_module(handle, device, found, fields, scoped)

    def _with_module(
        self,
        handle: Any,
        device: Device,
        found: Probe,
        fields: Mapping[Field, float | NoAnswer],
        scoped: Mapping[Field, float | NoAnswer],
    ) -> Probe:
        """A GPU on a module: what is its own, and what the module's."""
        # A driver that passes over the scope answers the same to all; a module draws more than its GPU.
        again = self._ask_fields(handle, _PROBED)
        if all(
            lies_between(fields[own], scoped[whole], again[own])
            for own, whole in _PAIRS
            if isinstance(scoped[whole], float)
        ):
            return found
        instant, averaged = scoped[MODULE_INSTANT], scoped[MODULE_AVERAGED]
        whole_power: Query | NoAnswer = instant if isinstance(instant, NoAnswer) else MODULE_INSTANT
        if isinstance(instant, NoAnswer) and not isinstance(averaged, NoAnswer):
            whole_power = MODULE_AVERAGED
        power = found.power
        if not isinstance(power, tuple | NoAnswer) and isinstance(whole_power, tuple):
            # nvmlDeviceGetPowerUsage does not say whose power it tells.
            usage = self._ask("power", power, handle)
            whole = self._now(handle, whole_power)
            if isinstance(usage, float) and whole is not None and usage > ALMOST_MODULE * whole:
                power = NoAnswer("its power reading is the whole module's")
        counter: Query | NoAnswer = found.counter
        whole_counter: Query | NoAnswer = (
            MODULE_COUNTER if isinstance(scoped[MODULE_COUNTER], float) else NoAnswer("it has none")
        )
        took: bool | None = False
        if not isinstance(counter, NoAnswer):
            took = self._counts_module(handle, device, counter, power, whole_power)
            if took is not False:
                if isinstance(whole_counter, NoAnswer):
                    whole_counter = counter
                counter = NoAnswer("its counter is the whole module's")
                # The same with a scope is its own where it tells another number.
                if found.counter != SCOPED_COUNTER and self._apart(handle, found.counter, SCOPED_COUNTER):
                    counter = SCOPED_COUNTER
        module = Module(
            counter=whole_counter,
            power=whole_power,
            power_period_s=INSTANT_PERIOD_S if whole_power == MODULE_INSTANT else AVERAGED_PERIOD_S,
            took_counter=took,
        )
        return Probe(
            counter=counter,
            power=power,
            instant=found.instant,
            module=module,
            answering={**found.answering, **those_answering(scoped)},
        )

    def _apart(self, handle: Any, one: Query | NoAnswer, other: Field) -> bool | None:
        """Whether two counters show different numbers; None where one of them does not answer."""
        before, between, after = (self._now(handle, source) for source in (one, other, one))
        if before is None or between is None or after is None:
            return None
        return not before <= between <= after

    def _now(self, handle: Any, source: Query | NoAnswer) -> float | None:
        """What a source says at this moment, in thousandths; None if nothing."""
        if isinstance(source, NoAnswer):
            return None
        if not isinstance(source, tuple):
            answer = self._ask("power", source, handle)
        else:
            answer = self._ask_fields(handle, (source,))[source]
        return answer if isinstance(answer, float) else None

    def _counts_module(
        self,
        handle: Any,
        device: Device,
        counter: Query,
        power: Query | NoAnswer,
        whole_power: Query | NoAnswer,
    ) -> bool | None:
        """Whether a counter is the whole module's (as on GH200, ml-energy/zeus#172); None where that cannot be told."""
        of_module, of_gpu = (self._apart(handle, counter, one) for one in (MODULE_COUNTER, SCOPED_COUNTER))
        if of_module is False and of_gpu is True:
            return True
        if of_module is True and (of_gpu is False or counter == SCOPED_COUNTER):
            return False
        if isinstance(power, NoAnswer):
            return True  # only the module tells anything
        known = probe.recall(device.id, device.driver, environ=self.environ)
        if known is not None and known.sources.get(_WHOSE) in ("gpu", "module"):
            return known.sources[_WHOSE] == "module"
        told = self._compared(handle, counter, power, whole_power)
        if told is not None:
            whose = {_WHOSE: "module" if told else "gpu"}
            probe.remember(device.id, device.driver, sources=whose, environ=self.environ)
        return told

    def _compared(
        self, handle: Any, counter: Query, power: Query, whole_power: Query | NoAnswer
    ) -> bool | None:
        """Whether a counter grows as the module's power says, and not as the GPU's. Takes up to COMPARED_S."""
        ticks: list[tuple[float, float]] = []
        powers: list[tuple[float, float]] = []
        last: float | None = None
        until = time.monotonic() + COMPARED_S
        while time.monotonic() < until and len(ticks) <= COMPARED_TICKS:
            now_s, milli = time.monotonic(), self._now(handle, counter)
            own, whole = self._now(handle, power), self._now(handle, whole_power)
            if own is not None and whole is not None:
                powers.append((own, whole))
            if milli is not None and last is not None and milli != last:
                ticks.append((now_s, milli))
            last = milli if milli is not None else last
            time.sleep(COMPARED_STEP_S)
        if len(ticks) < 3 or not powers:
            return None
        rate = (ticks[-1][1] - ticks[0][1]) / (ticks[-1][0] - ticks[0][0])
        own, whole = (sum(values) / len(powers) for values in zip(*powers, strict=True))
        like_own, like_whole = (abs(rate / one - 1) < COMPARED_WITHIN for one in (own, whole))
        return like_whole if like_own != like_whole else None
