"""What an SM of the T4 (sm_75, 40 of them) holds: occupancy by arithmetic.

Limits: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; granularity of
allocation: the CUDA occupancy calculator's table for 7.5.
"""

import dataclasses

SMS = 40
THREADS_PER_SM = 1024
BLOCKS_PER_SM = 16
WARP = 32
REGISTERS_PER_SM = 64 * 1024
REGISTER_UNIT = 256  # registers are given to a warp in units of 256
WARP_UNIT = 4  # and the warps that fit by registers are counted in fours, one for each scheduler
SHARED_PER_SM = 64 * 1024
SHARED_UNIT = 256
FMA_PER_CLOCK = 512  # fp16 tensor cores of one SM
BOOST_HZ = 1.59e9
L2_BYTES = 4 << 20


def up(value, unit):
    return -(-value // unit) * unit


@dataclasses.dataclass(frozen=True)
class Occupancy:
    blocks: int
    warps: int
    bound: str  # what allows no more blocks

    @property
    def share(self):
        return self.warps * WARP / THREADS_PER_SM


def occupancy(threads, registers, shared_bytes):
    """Blocks and warps on one SM; 0 blocks when one does not fit."""
    warps = up(threads, WARP) // WARP
    by_registers = REGISTERS_PER_SM // up(max(registers, 1) * WARP, REGISTER_UNIT) // WARP_UNIT * WARP_UNIT
    limits = {
        "blocks": BLOCKS_PER_SM,
        "threads": THREADS_PER_SM // WARP // warps,
        "registers": by_registers // warps,
        "shared": SHARED_PER_SM // up(shared_bytes, SHARED_UNIT) if shared_bytes else BLOCKS_PER_SM,
    }
    bound = min(limits, key=limits.get)
    return Occupancy(limits[bound], limits[bound] * warps, bound)


@dataclasses.dataclass(frozen=True)
class Waves:
    waves: int  # rounds of blocks over all SMs
    last_fill: float  # of the last round's places
    busiest: int  # blocks that the busiest SM computes: what counts when one block fills its tensor cores


def waves(blocks, blocks_per_sm):
    places = max(1, blocks_per_sm) * SMS
    count = -(-blocks // places)
    return Waves(count, (blocks - (count - 1) * places) / places, -(-blocks // SMS))
