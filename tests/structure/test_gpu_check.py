"""profiling/gpu_check.sh without a GPU: with stand-ins for nvidia-smi and for the programs it carries."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "profiling/gpu_check.sh"

NVIDIA_SMI = """#!/bin/sh
case "$*" in
*query-gpu=name*) echo "Imagined T4" ;;
*clocks_event_reasons*) exit 1 ;;
*-lms*) while :; do echo "12:00, 585 MHz, 0x4"; sleep 0.1; done ;;
*throttle_reasons*) echo "585 MHz, 5001 MHz, 40, 20.1 W, 70.0 W, P0, 0x4" ;;
*) echo "a table" ;;
esac
"""


class Place(unittest.TestCase):
    """A folder with a pack and stand-ins."""

    def setUp(self):
        self.place = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        self.tools, self.pack, self.results = self.place / "tools", self.place / "pack", self.place / "results"
        unpacked = self.place / "content"
        for folder in (self.tools, self.pack, unpacked / "bin", unpacked / "lib"):
            folder.mkdir(parents=True)
        self.program(self.tools / "nvidia-smi", NVIDIA_SMI)
        for name in ("bin/test_kernels", "bin/test_engine", "bin/bench_kernels", "bin/engine-bench", "bin/engine-run"):
            self.program(unpacked / name, f"#!/bin/sh\necho {name} $YEOUL_TEST_BACKENDS $YEOUL_CUDA_SM $*\n"
                                          f"while [ -f {self.place}/sleep ]; do sleep 0.1; done\n[ ! -f {self.place}/fail ] || exit 3\n")
        (unpacked / "commit").write_text("abc1234\n")
        subprocess.run(["tar", "-C", unpacked, "-czf", self.pack / "gpu_check.tar.gz", "."], check=True)

    @staticmethod
    def program(path, text):
        path.write_text(text)
        path.chmod(0o755)

    def command(self, *words, gpu=True):
        path = os.environ["PATH"]
        if gpu:
            path = f"{self.tools}:{path}"
        environment = os.environ | {"PATH": path, "GPU_CHECK_STAGE_SECONDS": os.environ.get("GPU_CHECK_STAGE_SECONDS", "50")}
        return [str(SCRIPT), "--pack", str(self.pack), "--results", str(self.results), *words], environment

    def check(self, *words, gpu=True):
        command, environment = self.command(*words, gpu=gpu)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    def watchers(self):
        """Processes that look at the GPU each second."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if str(self.tools).encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:  # it ended
                continue
        return found

    def table(self):
        lines = (self.results / "imagined-t4/README.md").read_text().splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
        return {row[0]: row for row in rows[1:]}


class GpuCheck(Place):
    def test_lists_and_plans_without_a_gpu(self):
        listed = self.check("--list", gpu=False)
        self.assertEqual(listed.returncode, 0)
        names = [line.split()[0] for line in listed.stdout.splitlines()]
        self.assertIn("autotune-b16", names)
        planned = self.check("--dry-run", *names, gpu=False)
        self.assertEqual(planned.returncode, 0, planned.stderr)
        self.assertIn("YEOUL_CUDA_SM=75", planned.stdout)
        self.assertFalse(self.results.exists())

    @unittest.skipIf(shutil.which("nvidia-smi"), "this machine has nvidia-smi")
    def test_says_that_there_is_no_gpu(self):
        done = self.check("kernels", gpu=False)
        self.assertEqual(done.returncode, 4)
        self.assertIn("there is no GPU here", done.stderr)
        self.assertFalse(self.results.exists())

    def test_refuses_what_it_does_not_know(self):
        for words in (["frob"], ["--frob"], [], ["--pack"]):
            self.assertEqual(self.check(*words).returncode, 2, words)

    def test_says_what_a_pack_lacks(self):
        done = self.check("--build", str(self.place), "pack", gpu=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("lacks bin/engine-run", done.stderr)

    def test_says_that_there_is_no_pack(self):
        (self.pack / "gpu_check.tar.gz").unlink()
        done = self.check("kernels")
        self.assertEqual(done.returncode, 1)
        self.assertIn("gpu_check.sh pack makes one", done.stderr)

    def test_a_stage_leaves_its_results_and_its_row(self):
        done = self.check("environment", "kernels-75", "bench", "model-b32")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = self.table()
        for stage in ("environment", "kernels-75", "bench", "model-b32"):
            self.assertEqual(rows[stage][1:3], ["done", "abc1234"])
            self.assertIn("0x4", rows[stage][5])
        self.assertEqual(rows["engine"][1], "not run")
        folder = self.results / "imagined-t4"
        self.assertIn("bin/test_kernels cuda 75", (folder / "kernels-75.log").read_text())
        self.assertIn("--device cuda", (folder / "bench.md").read_text())
        self.assertIn("clip-vit-base-patch32", (folder / "model-b32.json").read_text())
        self.assertIn("bench_kernels --device cuda --roof", (folder / "model-b32.log").read_text())
        self.assertIn("585 MHz", (folder / "bench.clocks").read_text())
        self.assertIn("bench.clocks", rows["bench"][7])
        self.assertEqual([p.name for p in (folder / "stages").iterdir() if p.name.startswith(".")], [])

    def test_a_failed_stage_keeps_older_results(self):
        self.check("bench")
        (self.place / "fail").touch()
        done = self.check("bench", "kernels")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.table()["bench"][1], "FAILED: exit 3")
        self.assertEqual(self.table()["kernels"][1], "FAILED: exit 3")
        self.assertIn("bench_kernels", (self.results / "imagined-t4/bench.md").read_text())

    def test_a_missing_tool_is_named(self):
        self.program(self.tools / "python3", "#!/bin/sh\nexit 1\n")
        done = self.check("peers-b32")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.table()["peers-b32"][1], "skipped: PyTorch is not on this machine")
        if not shutil.which("compute-sanitizer"):
            self.check("memcheck-rest")
            self.assertEqual(self.table()["memcheck-rest"][1], "skipped: compute-sanitizer is not on this machine")

    def test_the_allocator_is_measured_beside_pytorch_where_it_is(self):
        allocator = self.results / "imagined-t4/allocator.md"
        self.program(self.tools / "python3", "#!/bin/sh\necho /there/libtorch_cuda.so\n")
        self.check("allocator")
        self.assertIn("--device cuda --torch /there/libtorch_cuda.so", allocator.read_text())
        self.program(self.tools / "python3", "#!/bin/sh\nexit 1\n")
        self.check("allocator")
        self.assertNotIn("--torch", allocator.read_text())

    def test_stages_of_the_processor_say_what_they_lack(self):
        self.program(self.tools / "python3", "#!/bin/sh\ncase \"$*\" in *fastapi*) exit 1 ;; esac\n")
        self.check("cpu-serve-fp32")
        self.assertIn("skipped: FastAPI, uvicorn", self.table()["cpu-serve-fp32"][1])

    def test_a_stage_over_its_time_ends(self):
        (self.place / "sleep").touch()
        os.environ["GPU_CHECK_STAGE_SECONDS"] = "1"
        self.addCleanup(os.environ.pop, "GPU_CHECK_STAGE_SECONDS")
        self.assertEqual(self.check("kernels").returncode, 1)
        self.assertEqual(self.table()["kernels"][1], "FAILED: not over after 1 s")

    def test_nothing_watches_a_stage_that_is_over(self):
        self.check("bench")
        self.check("bench", "kernels")
        self.assertEqual(self.watchers(), [])

    def start_and_wait(self):
        (self.place / "sleep").touch()
        command, environment = self.command("bench")
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        state, log = self.results / "imagined-t4/stages/bench", self.results / "imagined-t4/bench.log"
        for _ in range(600):
            if state.exists() and "running" in state.read_text() and log.exists() and log.read_text().startswith("+"):
                return process
            time.sleep(0.05)
        self.fail("the stage did not start")

    def test_a_stopped_stage_says_so(self):
        self.check("bench")
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.start_and_wait()
            self.assertEqual(self.table()["bench"][1], "running")
            process.send_signal(number)
            self.assertEqual(process.wait(30), 130)
            self.assertEqual(self.table()["bench"][1], "STOPPED: run it again")
            self.assertTrue((self.results / "imagined-t4/bench.md").exists())
            (self.place / "sleep").unlink()

    def test_a_killed_stage_shows(self):
        process = self.start_and_wait()
        process.kill()
        process.wait()
        self.check("table", gpu=False)
        (self.place / "sleep").unlink()  # what it had started ends, but for the watcher
        for watcher in self.watchers():
            os.kill(watcher, signal.SIGTERM)
        self.assertEqual(self.table()["bench"][1], "KILLED: run it again")


REAL = [os.environ.get(name) for name in ("YEOUL_TEST_KERNELS", "YEOUL_TEST_ENGINE", "YEOUL_EMULATED_CUDA")]


@unittest.skipUnless(all(REAL), "the test programs and the emulated GPU are not built")
class RealPrograms(Place):
    """The stages of tests as they run on a GPU, through run.sh, with an emulated one as libyeoul_cuda.so."""

    KERNELS = "--test-case=properties*,numerics*,memory*,copies*,streams*,events*,*says what serves*,*: refuses*"
    ENGINE = "--test-case-exclude=*every block*,*faults*,*outlier*,*budget*,*memory that runs out*,*duplicates*,*pairs*"

    def setUp(self):
        super().setUp()
        os.environ.pop("YEOUL_CUDA_LIBRARY", None)
        unpacked = self.place / "content"
        for name, program, fewer in (("test_kernels", REAL[0], self.KERNELS), ("test_engine", REAL[1], self.ENGINE)):
            self.program(unpacked / "bin" / name, f"#!/bin/sh\nexec '{program}' \"$@\" '{fewer}'\n")
        shutil.copy(REAL[2], unpacked / "lib/libyeoul_cuda.so")
        subprocess.run(["tar", "-C", unpacked, "-czf", self.pack / "gpu_check.tar.gz", "."], check=True)

    def test_stages_of_tests_pass_on_a_working_gpu(self):
        done = self.check("kernels", "engine")
        logs = [(self.results / "imagined-t4" / f"{stage}.log").read_text() for stage in ("kernels", "engine")]
        self.assertEqual(done.returncode, 0, "\n".join(logs)[-4000:])
        for log in logs:
            self.assertIn("Status: SUCCESS", log)
        self.assertNotIn("[doctest] test cases:  0", logs[0] + logs[1])

    def test_parts_of_the_kernel_tests_are_all_of_them(self):
        def names(part):
            words = self.check("--dry-run", part).stdout.splitlines()[1]
            listed = subprocess.run([REAL[0], words.split("'")[1], "--list-test-cases", "--no-version"], capture_output=True, text=True)
            return {line for line in listed.stdout.splitlines() if not line.startswith(("[doctest]", "==="))}

        parts = [names(f"memcheck-{part}") for part in ("products", "attention", "resize", "rest")]
        self.assertTrue(all(parts))
        self.assertEqual(set().union(*parts), names("kernels"))
        self.assertEqual(sum(map(len, parts)), len(names("kernels")))


if __name__ == "__main__":
    if sys.platform != "linux" or not shutil.which("tar"):
        print("skipped: needs Linux and tar")
        sys.exit(77)
    unittest.main()
