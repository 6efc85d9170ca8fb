// What the CPU device says is free, from made-up machines.
#include <doctest/doctest.h>

#include <fstream>

#include "kernels/cpu/free_memory.h"
#include "tests/support/temporary_directory.h"

using namespace yeoul;
using namespace yeoul::test;
namespace fs = std::filesystem;

namespace {

/// A root with the files of a machine that has 8 GiB available.
struct Machine {
    TemporaryDirectory root;

    Machine() { write("proc/meminfo", "MemTotal:  16777216 kB\nMemAvailable:  8388608 kB\n"); }
    void write(const fs::path& file, const std::string& text) const {
        fs::create_directories((root.path() / file).parent_path());
        std::ofstream(root.path() / file) << text;
    }
    size_t free_bytes() const { return cpu::free_memory_bytes(root.path()); }
};

constexpr size_t kGibibyte = size_t{1} << 30;

} // namespace

TEST_CASE("cpu free memory: without a control group it is what the kernel calls available") {
    CHECK(Machine().free_bytes() == 8 * kGibibyte);
    const Machine machine;
    machine.write("proc/self/cgroup", "0::/\n");
    CHECK(machine.free_bytes() == 8 * kGibibyte);
    machine.write("sys/fs/cgroup/memory.max", "max\n");
    CHECK(machine.free_bytes() == 8 * kGibibyte);
}

TEST_CASE("cpu free memory: a group's limit counts less its use, without droppable file pages") {
    const Machine machine;
    machine.write("proc/self/cgroup", "0::/service\n");
    const fs::path group = "sys/fs/cgroup/service";
    machine.write(group / "memory.max", "4294967296\n");
    machine.write(group / "memory.current", "3221225472\n");
    CHECK(machine.free_bytes() == 1 * kGibibyte);
    machine.write(group / "memory.stat", "anon 1\nfile 9\ninactive_file 1073741824\n");
    CHECK(machine.free_bytes() == 2 * kGibibyte);
    machine.write(group / "memory.current", "9663676416\n"); // 9 GiB: above the limit
    CHECK(machine.free_bytes() == 0);
}

TEST_CASE("cpu free memory: the tightest of the groups above counts, and version 1 as well") {
    const Machine machine;
    machine.write("proc/self/cgroup", "7:cpu,memory:/pod/box\n4:pids:/pod\n0::/\n");
    const fs::path groups = "sys/fs/cgroup/memory";
    machine.write(groups / "memory.limit_in_bytes", "9223372036854771712\n");
    machine.write(groups / "pod/memory.limit_in_bytes", "3221225472\n");
    machine.write(groups / "pod/memory.usage_in_bytes", "1073741824\n");
    machine.write(groups / "pod/box/memory.limit_in_bytes", "5368709120\n");
    CHECK(machine.free_bytes() == 2 * kGibibyte);
    machine.write(groups / "pod/memory.stat", "inactive_file 7\ntotal_inactive_file 1073741824\n");
    CHECK(machine.free_bytes() == 3 * kGibibyte);
}

TEST_CASE("cpu free memory: where nothing can be read nothing is limited") {
    const TemporaryDirectory nothing;
    CHECK(cpu::free_memory_bytes(nothing.path()) == SIZE_MAX);
}

TEST_CASE("cpu free memory: this machine has some, and not more than it has") {
    CHECK(cpu::free_memory_bytes() > 0);
    CHECK(cpu::free_memory_bytes() < size_t{1} << 50);
}
