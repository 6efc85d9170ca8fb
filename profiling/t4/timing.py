"""How long a launch takes on a T4, by arithmetic: the model behind the predictions.

A product takes as long as its busiest SM: ceil(blocks / 40) tiles at 512 FMA a clock, times what a
main loop loses; or as long as its bytes. Other kernels take their bytes. Every launch costs a gap.
Two regimes:
  cold    1,590 MHz: a request now and then. Waves bind.
  capped  under steady load the card holds 70 W, not its clock: products run at the rate that was
          seen sustained and other kernels at their bytes. Energy binds; it is spent over the whole
          pass, so gaps and idle SMs are free as long as the pass at 1,590 MHz would be shorter.
"""

import dataclasses
import json
import math
import pathlib
import re

import sm75

CONSTANTS = pathlib.Path(__file__).resolve().parent / "constants.json"

# What a tile's main loop reaches beside 128x128: bytes from shared memory per FMA grow as it shrinks.
# Estimates, not measurements.
TILES = {(128, 128): 1.0, (128, 96): 0.98, (96, 128): 0.98, (256, 128): 1.02, (128, 192): 1.0, (128, 64): 0.93,
         (64, 128): 0.93, (96, 96): 0.95, (64, 96): 0.89, (96, 64): 0.89, (64, 64): 0.82, (64, 32): 0.6, (32, 64): 0.6,
         (32, 32): 0.45, (32, 128): 0.75, (128, 32): 0.75, (64, 192): 0.95}
SPLITS = (1, 2, 3, 4, 6, 8)


@dataclasses.dataclass
class Constants:
    gap_us: float  # from one kernel's end to the next one's start, launched one by one
    graph_gap_us: float  # the same between the nodes of a graph
    gemm_efficiency: float  # of a 128x128 main loop, beside 512 FMA a clock
    lone_efficiency: float  # the same where an SM has one block and nothing hides its latency
    attention_efficiency: float
    bandwidth_share: float  # of 320 GB/s
    sustained_tflops: float  # products under the power cap
    l2_gb_s: float  # tensors that stay in the 4 MB

    @property
    def bandwidth(self):
        return self.bandwidth_share * 320e9


def read_constants(path=CONSTANTS):
    stored = json.loads(path.read_text())
    return Constants(**{name: entry["value"] for name, entry in stored["constants"].items()})


@dataclasses.dataclass
class Cost:
    """Of one op, all its launches."""
    flop: float = 0  # useful
    issued: float = 0  # with what tiles pad
    bytes: float = 0  # between kernels and memory, each tensor once
    cold_s: float = 0
    energy_s: float = 0  # that the power cap allows for its work, without gaps
    launches: int = 0

    @property
    def capped_s(self):
        return max(self.cold_s, self.energy_s)

    @property
    def hmma_share(self):
        """Of the cold time, in which tensor cores would be busy if the work were spread evenly."""
        peak = 2 * sm75.FMA_PER_CLOCK * sm75.SMS * sm75.BOOST_HZ
        return self.issued / peak / self.cold_s if self.cold_s else 0


def memory_s(constants, activation_bytes, weight_bytes=0):
    near = activation_bytes <= sm75.L2_BYTES
    rate = constants.l2_gb_s * 1e9 if near else constants.bandwidth
    return activation_bytes / rate + weight_bytes / constants.bandwidth


def product_s(constants, m, n, k, tile, split):
    blocks = math.ceil(m / tile[0]) * math.ceil(n / tile[1]) * split
    flop = 2 * tile[0] * tile[1] * math.ceil(k / split)
    relative = TILES.get(tuple(tile), 0.8)
    peak_of_sm = 2 * sm75.FMA_PER_CLOCK * sm75.BOOST_HZ
    busiest = math.ceil(blocks / sm75.SMS)
    efficiency = constants.gemm_efficiency if busiest > 1 else constants.lone_efficiency
    seconds = busiest * flop / (peak_of_sm * efficiency * relative)
    return seconds, blocks * flop


def partials_s(constants, m, n, split):
    """What a split costs on top: partial sums in fp32, written and read."""
    return 0 if split == 1 else memory_s(constants, 2 * 4.0 * split * m * n)


def best_plan(constants, m, n, k):
    """The tile and split that a tuned library would take."""
    plans = [(product_s(constants, m, n, k, tile, split)[0] + partials_s(constants, m, n, split), tile, split)
             for tile in TILES for split in SPLITS if split == 1 or k / split >= 128]
    return min(plans)[1:]


def linear(constants, m, n, k, accumulate=False, tile=None, split=1, launches=1):
    if tile is None:
        tile, split = best_plan(constants, m, n, k)
    moved = 2.0 * (m * k + m * n * (2 if accumulate else 1))
    math_s, issued = product_s(constants, m, n, k, tile, split)
    bytes_s = memory_s(constants, moved, 2.0 * n * k)
    fixed = launches * constants.gap_us * 1e-6 + partials_s(constants, m, n, split)
    cold = max(math_s, bytes_s)
    flop = 2.0 * m * n * k
    energy = flop / (constants.sustained_tflops * 1e12)
    return Cost(flop, issued, moved + 2.0 * n * k, cold + fixed, energy, launches)


def attention(constants, batch, tokens, heads, head_dim, padded_tokens=None, blocks=None):
    padded = padded_tokens or sm75.up(tokens, 64)
    flop = 4.0 * batch * heads * tokens * tokens * head_dim
    issued = 4.0 * batch * heads * padded * padded * head_dim
    blocks = blocks or batch * heads * padded // 64
    busiest = math.ceil(blocks / sm75.SMS)
    peak_of_sm = 2 * sm75.FMA_PER_CLOCK * sm75.BOOST_HZ
    math_s = busiest * issued / blocks / (peak_of_sm * constants.attention_efficiency)
    moved = 2.0 * 4 * batch * tokens * heads * head_dim
    cold = max(math_s, memory_s(constants, moved))
    energy = flop / (constants.sustained_tflops * 1e12)
    return Cost(flop, issued, moved, cold + constants.gap_us * 1e-6, energy, 1)


def moving(constants, activation_bytes, weight_bytes=0.0, launches=1, flop=0.0):
    seconds = memory_s(constants, activation_bytes, weight_bytes)
    return Cost(flop, 0, activation_bytes + weight_bytes, seconds + launches * constants.gap_us * 1e-6, seconds, launches)


def total(costs):
    """Of (count, Cost) pairs."""
    y = Cost()
    for count, cost in costs:
        for field in dataclasses.fields(Cost):
            setattr(y, field.name, getattr(y, field.name) + count * getattr(cost, field.name))
    return y


def plan_of(text):
    """Tile and split of a linear op's own words, "own 64x96x32 split-K 4 (predicted)"; None where it names none."""
    tile = re.search(r"\b(\d+)x(\d+)(?:x\d+)?", text)
    split = re.search(r"split-K (\d+)", text)
    return ((int(tile[1]), int(tile[2])) if tile else None), (int(split[1]) if split else 1)


def op_cost(constants, op, batch):
    """Of an op as profiling/t4/geometry.cpp writes it; `launches` may be missing."""
    launches = op.get("launches") or [None]
    first = launches[0]
    blocks = math.prod(first["grid"]) if first else None
    kind = op["op"]
    if kind == "linear":
        tile, split = plan_of(op.get("plan", ""))
        return linear(constants, batch * op["rows"], op["out"], op["in"], op["accumulate"], tile, split, len(launches))
    if kind == "attention":
        return attention(constants, batch, op["tokens"], op["heads"], op["head_dim"], blocks=blocks)
    if kind == "layer_norm":
        return moving(constants, 2.0 * 2 * batch * op["rows"] * op["dim"], 8.0 * op["dim"], len(launches))
    if kind == "token_embedding":
        moved = 2.0 * batch * op["dim"] * (2 * op["patches"] + 1)
        return moving(constants, moved, 2.0 * (op["patches"] + 1) * op["dim"], len(launches))
    if kind == "patches":
        return moving(constants, 3.0 * 3 * batch * op["height"] * op["width"], 0, len(launches))
    if kind == "embedding_head":
        weights = 2.0 * op["dim"] * op["out"]
        return moving(constants, batch * (2.0 * op["dim"] + 4.0 * op["out"]), weights, len(launches),
                      2.0 * batch * op["dim"] * op["out"])
    raise ValueError(f"op '{kind}' has no cost; add it to timing.py")
