"""How far observation corrects what was believed of an engine's rates."""

from math import log

import msgspec

from nodes.rates import Rates

LEAST_BIAS, MOST_BIAS = 0.1, 10.0
ONE_SAMPLE = 2.0  # no sample speaks for more than this factor, or less than its inverse
STEADY_GAIN = 0.08  # of one sample, once many were seen
FIRST_GAIN = 0.5
SPREAD_GAIN = 0.05


class Bias(msgspec.Struct, frozen=True):
    """Factors on predicted seconds, learnt from what was observed; 1.0 is as believed."""

    prefill: float = 1.0
    decode: float = 1.0
    prefill_samples: int = 0
    decode_samples: int = 0
    spread: float = 0.0  # of observed over predicted prefill: the mean absolute logarithm

    def after_prefill(self, ratio: float) -> "Bias":
        """`ratio` is observed over predicted seconds."""
        prefill = _nudged(self.prefill, ratio, self.prefill_samples)
        spread = self.spread + SPREAD_GAIN * (abs(log(_clipped(ratio))) - self.spread)
        return Bias(prefill, self.decode, self.prefill_samples + 1, self.decode_samples, spread)

    def after_decode(self, ratio: float) -> "Bias":
        decode = _nudged(self.decode, ratio, self.decode_samples)
        return Bias(self.prefill, decode, self.prefill_samples, self.decode_samples + 1, self.spread)

    def hoped(self, hope: float) -> "Bias":
        """The same engine, if it takes so much of what was learnt."""
        return msgspec.structs.replace(self, prefill=self.prefill * hope, decode=self.decode * hope)


class Learnt(msgspec.Struct, frozen=True):
    """A bias, and the rates that it corrects: it says nothing of others. Likewise what a cache was seen to keep, as a
    share of the size that it is said to have."""

    rates: Rates
    bias: Bias
    cache_tokens: int = 0
    kept: float = 1.0


def _clipped(ratio: float) -> float:
    least = 1.0 / ONE_SAMPLE
    return least if ratio < least else ONE_SAMPLE if ratio > ONE_SAMPLE else ratio


def _nudged(bias: float, ratio: float, samples: int) -> float:
    """The first samples move it far, later ones little: a single odd request never moves it more than its gain."""
    first, steady = FIRST_GAIN / (1 + samples / 4), STEADY_GAIN
    nudged: float = bias * _clipped(ratio) ** (first if first > steady else steady)
    return LEAST_BIAS if nudged < LEAST_BIAS else MOST_BIAS if nudged > MOST_BIAS else nudged
