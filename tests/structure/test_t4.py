"""The arithmetic of profiling/t4, against values from the CUDA documentation and by hand."""

import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "profiling/t4"))

import anchors  # noqa: E402
import fit  # noqa: E402
import models  # noqa: E402
import ptxas  # noqa: E402
import sm75  # noqa: E402
import timing  # noqa: E402

LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN5yeoul4cuda12_GLOBAL__N_14gemmILi128ELi96EEEvPK6__half' for 'sm_75'
ptxas info    : Function properties for _ZN5yeoul4cuda12_GLOBAL__N_14gemmILi128ELi96EEEvPK6__half
    {stack} bytes stack frame, {stores} bytes spill stores, {loads} bytes spill loads
ptxas info    : Used {registers} registers, used 1 barriers, {shared} bytes smem, 400 bytes cmem[0]
"""
PTX = ".visible .entry _ZN5yeoul4cuda12_GLOBAL__N_14gemmILi128ELi96EEEvPK6__half(\n .param .u64 x\n)\n.maxntid {threads}, 1, 1\n{{\n{body}}}\n"
BODY = """	ld.global.nc.v4.u32 	{%r1, %r2, %r3, %r4}, [%rd3];
	ld.global.v2.u64 	{%rd1, %rd2}, [%rd3];
	ld.global.v2.f32 	{%f1, %f2}, [%rd3];
	ld.shared.v4.f32 	{%f1, %f2, %f3, %f4}, [%r3];
	st.global.v4.b32 	[%rd4], {%r1, %r2, %r3, %r4};
	st.global.u32 	[%rd4], %r1;
"""


def kernels(registers=120, shared=0, spills=0, stack=0, threads=256, body=BODY):
    log = LOG.format(registers=registers, shared=shared, stores=spills, loads=spills, stack=stack)
    return ptxas.parse(log, PTX.format(threads=threads, body=body), "gemm.cu")


def faults(limits, **values):
    return ptxas.faults(kernels(**values), ptxas.read_limits(limits))


class Occupancy(unittest.TestCase):
    def test_each_resource_binds(self):
        for threads, registers, shared, blocks, bound in [
            (256, 32, 0, 4, "threads"),
            (256, 64, 0, 4, "threads"),  # 64 registers fill the file exactly
            (256, 65, 0, 3, "registers"),  # 72 a thread, 28 warps
            (256, 128, 32 << 10, 2, "registers"),
            (256, 129, 0, 1, "registers"),  # 12 warps: one block of 8
            (128, 32, 33 << 10, 1, "shared"),
            (128, 32, 16 << 10, 4, "shared"),
            (32, 16, 0, 16, "blocks"),
            (96, 255, 0, 2, "registers"),  # 8 warps in fours
            (1024, 65, 0, 0, "registers"),
        ]:
            held = sm75.occupancy(threads, registers, shared)
            self.assertEqual((held.blocks, held.bound), (blocks, bound), (threads, registers, shared))

    def test_waves(self):
        self.assertEqual(sm75.waves(80, 2), sm75.Waves(1, 1.0, 2))
        self.assertEqual(sm75.waves(81, 2), sm75.Waves(2, 1 / 80, 3))
        self.assertEqual(sm75.waves(1, 2), sm75.Waves(1, 1 / 80, 1))


class Ptxas(unittest.TestCase):
    def test_reads_a_kernel(self):
        (kernel,) = kernels(registers=97, shared=1024, spills=16, stack=8)
        self.assertEqual((kernel.name, kernel.registers, kernel.shared, kernel.spill_stores, kernel.stack, kernel.threads,
                          kernel.vectors), ("gemm<128, 96>", 97, 1024, 16, 8, 256, 3))

    def test_names_meet_those_of_the_emulator(self):
        for given in ("void yeoul::cuda::(anonymous namespace)::gemm<(int)128, (int)96>(__half const*)",
                      "yeoul::cuda::_GLOBAL__N__5a1b2c3d_9_linear_cu_0badcafe::gemm<128, 96>(half const*, int)",
                      "void yeoul::cuda::(anonymous namespace)::gemm<128, 96>(half const*)"):
            self.assertEqual(ptxas.plain_name(given), "gemm<128, 96>")
        self.assertEqual(ptxas.plain_name("yeoul::cuda::(anonymous namespace)::norm_kernel(half const*, int)"), "norm_kernel")
        self.assertEqual(ptxas.plain_name("void f<true, yeoul::Activation::gelu>(int)"), "f<true, gelu>")

    def test_the_gate_passes_what_is_stated(self):
        self.assertEqual(faults("gemm<\\d+, \\d+> 256 32768 2 128 3"), [])

    def test_the_gate_finds_planted_faults(self):
        for limits, values, word in [
            ("gemm<.*> 256 32768 2 128 3", {"spills": 4}, "spills"),
            ("gemm<.*> 256 32768 2 128 3", {"stack": 16}, "stack"),
            ("gemm<.*> 256 32768 2 96 3", {}, "at most 96"),
            ("gemm<.*> 256 40000 2 128 3", {}, "1 blocks per SM (by shared)"),
            ("gemm<.*> 256 32768 2 255 3", {"registers": 160}, "1 blocks per SM (by registers)"),
            ("gemm<.*> 256 65537 0 128 3", {}, "an SM has 65536"),
            ("gemm<.*> 256 0 2 128 3", {"threads": 128}, "launch bounds"),
            ("gemm<.*> 256 0 2 128 3", {"body": BODY.replace("st.global.v4", "st.global.v2")}, "has 2 accesses of 16 bytes"),
            ("", {}, "no line in limits.txt"),
            ("gemm<.*> 256 0 2 128 3\nother 32 0 1 32 0", {}, "no kernel is called other"),
        ]:
            found = faults(limits, **values)
            self.assertTrue(any(word in fault for fault in found), (limits, values, found))

    def test_suggested_lines_pass(self):
        for registers in (30, 97, 128, 255):
            line = ptxas.suggestion(kernels(registers=registers)[0])
            self.assertEqual(faults(line, registers=registers), [], line)


class Model(unittest.TestCase):
    def setUp(self):
        self.constants = timing.read_constants()

    def test_flop_of_the_models(self):
        # open_clip's docs/model_profile.csv: 8.82, 35.13 and 162.03 GFLOP
        for name, gflop in [("clip-vit-base-patch32", 8.82), ("clip-vit-base-patch16", 35.13), ("clip-vit-large-patch14", 162.03)]:
            cost = timing.total([(op["count"], timing.op_cost(self.constants, op, 1)) for op in models.assumed_ops(name)])
            self.assertAlmostEqual(cost.flop / 1e9, gflop, delta=0.01 * gflop)

    def test_a_product_takes_its_busiest_sm(self):
        one, issued = timing.product_s(self.constants, 128 * 41, 96, 768, (128, 96), 1)
        full, _ = timing.product_s(self.constants, 128 * 80, 96, 768, (128, 96), 1)
        self.assertEqual(one, full)  # 41 blocks take as long as 80
        self.assertEqual(issued, 41 * 2 * 128 * 96 * 768)

    def test_neither_regime_passes_its_roof(self):
        for name in models.MODELS:
            for batch in models.BATCHES:
                cost = timing.total([(op["count"], timing.op_cost(self.constants, op, batch)) for op in models.assumed_ops(name)])
                self.assertLess(cost.flop / cost.cold_s, 65.2e12)
                self.assertLessEqual(cost.flop / cost.capped_s, 25e12)
                self.assertGreaterEqual(cost.capped_s, cost.cold_s)

    def test_plans_are_read(self):
        self.assertEqual(timing.plan_of("own 64x96x32 split-K 4 (predicted)"), ((64, 96), 4))
        self.assertEqual(timing.plan_of("own 128x96x32 (predicted)"), ((128, 96), 1))
        self.assertEqual(timing.plan_of("warp per row"), (None, 1))

    def test_the_frozen_constants_are_the_fit(self):
        values = fit.fit()
        for name, value in values.items():
            self.assertAlmostEqual(getattr(self.constants, name) / value, 1, delta=1e-3, msg=name)

    def test_held_out_errors_stay_in_the_printed_range(self):
        low, high = fit.held_out_range(self.constants)
        self.assertGreater(low, -0.15)
        self.assertLess(high, 0.15)
        self.assertFalse([a for a in anchors.ANCHORS if a.use not in ("fit", "held out")])


if __name__ == "__main__":
    unittest.main()
