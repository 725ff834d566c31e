"""How fast an engine reads prompts and writes answers, and how far observation corrects what was believed of it.

A decode step costs the same for everyone in it: `step_s + requests * step_per_request_s + tokens * step_per_token_s`.
A prompt token costs more the further back it looks: twice as much as the first one at `doubling_tokens`.
"""

from math import exp, log

import msgspec

LEAST_BIAS, MOST_BIAS = 0.1, 10.0
ONE_SAMPLE = 2.0  # no sample speaks for more than this factor, or less than its inverse
STEADY_GAIN = 0.08  # of one sample, once many were seen
FIRST_GAIN = 0.5
SPREAD_GAIN = 0.05


class Rates(msgspec.Struct, frozen=True):
    """Of one engine with one model, alone on its machine."""

    prefill: float  # prompt tokens a second, at the beginning of a prompt
    doubling_tokens: float
    step_s: float
    step_per_request_s: float
    step_per_token_s: float
    chunk_tokens: int = 2048  # of a prompt that go into one step beside the requests that decode

    def read_s(self, first: int, last: int) -> float:
        """To read the prompt tokens from one position to another, with the machine for itself."""
        return (last - first) * (1.0 + (first + last) / (2.0 * self.doubling_tokens)) / self.prefill

    def decode_step_s(self, requests: float, tokens: float) -> float:
        return self.step_s + requests * self.step_per_request_s + tokens * self.step_per_token_s


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


def _clipped(ratio: float) -> float:
    return min(max(ratio, 1.0 / ONE_SAMPLE), ONE_SAMPLE)


def _nudged(bias: float, ratio: float, samples: int) -> float:
    """The first samples move it far, later ones little: a single odd request never moves it more than its gain."""
    gain = max(STEADY_GAIN, FIRST_GAIN / (1 + samples / 4))
    return min(max(bias * exp(gain * log(_clipped(ratio))), LEAST_BIAS), MOST_BIAS)
