// Every planted fault is noticed where it should be. Each runs in a program of its own, as a
// sanitizer ends it.
#include <cstdio>
#include <string>
#include <vector>

#include <sys/wait.h>

#include <doctest/doctest.h>

namespace {

#if defined(SIMT_ASAN)
constexpr bool kAsan = true, kTsan = false;
#elif defined(SIMT_TSAN)
constexpr bool kAsan = false, kTsan = true;
#else
constexpr bool kAsan = false, kTsan = false;
#endif

std::string output(const std::string& command) {
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string text;
    char buffer[4096];
    for (size_t count; (count = fread(buffer, 1, sizeof buffer, pipe)) > 0;)
        text.append(buffer, count);
    pclose(pipe);
    return text;
}

// What the program prints for the fault, with the threads in ascending or in a random order.
std::string noticed(const std::string& fault, int seed = 0) {
    std::string variables = "ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=report_signal_unsafe=0 ";
    variables += seed != 0 ? "SIMT_ORDER=random SIMT_SEED=" + std::to_string(seed) : "SIMT_ORDER=";
    return output(variables + " " YEOUL_SIMT_FAULTS " '" + fault + "'");
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

struct Race {
    const char* name;
    bool ascending; // wrong in ascending order too
};
constexpr Race kRaces[] = {
    {"read before write", true},
    {"write before read", true},
    {"no syncwarp", true},
    {"shuffle for syncwarp", false},
    {"broadcast", false},
    {"syncwarp for syncthreads", true},
    {"dynamic without barrier", true},
};

} // namespace

TEST_CASE("faults: a missing barrier gives a wrong result in some order" *
          doctest::skip(kAsan || kTsan)) {
    for (const Race& race : kRaces) {
        INFO("fault: " << std::string(race.name));
        CHECK(noticed(race.name) == (race.ascending ? "wrong result\n" : "nothing\n"));
        if (std::string(race.name) == "shuffle for syncwarp")
            continue; // no order shows it: the lanes do meet. The sanitizer does.
        int wrong = 0;
        for (int seed = 1; seed <= 3; ++seed)
            wrong += noticed(race.name, seed) == "wrong result\n";
        CHECK(wrong >= 2); // a single order may hide it
    }
}

TEST_CASE("faults: ThreadSanitizer sees every missing barrier, with both lines" *
          doctest::skip(!kTsan)) {
    for (const Race& race : kRaces) {
        INFO("fault: " << std::string(race.name));
        const std::string report = noticed(race.name);
        CAPTURE(report);
        CHECK(contains(report, "WARNING: ThreadSanitizer: data race"));
        const size_t first = report.find("shared_memory.cpp:");
        CHECK(first != std::string::npos);
        CHECK(report.find("shared_memory.cpp:", first + 1) != std::string::npos);
    }
}

TEST_CASE("faults: a race between blocks stays unseen, as the emulator's header says") {
    CHECK(noticed("blocks race") == "nothing\n");
}

TEST_CASE("faults: lanes of two branches may meet in __syncwarp, as from sm_70 on") {
    CHECK(noticed("syncwarps in two branches") == "nothing\n");
}

TEST_CASE("faults: AddressSanitizer sees accesses out of bounds" * doctest::skip(!kAsan)) {
    for (const char* name : {"global past the end", "static shared past the end",
                             "plain __shared__ past the end", "dynamic shared past the end"}) {
        INFO("fault: " << std::string(name));
        const std::string report = noticed(name);
        CAPTURE(report);
        CHECK((contains(report, "AddressSanitizer: heap-buffer-overflow") ||
               contains(report, "AddressSanitizer: global-buffer-overflow") ||
               contains(report, "out of bounds for type")));
        CHECK(contains(report, "accesses.cpp:"));
    }
    CHECK(contains(noticed("free before the work ran"), "AddressSanitizer: heap-use-after-free"));
}

TEST_CASE("faults: UndefinedBehaviorSanitizer sees misaligned vectors" * doctest::skip(!kAsan)) {
    const std::string report = noticed("misaligned load");
    CHECK(contains(report, "runtime error"));
    CHECK(contains(report, "misaligned address"));
    CHECK(contains(report, "accesses.cpp:"));
}

TEST_CASE("faults: what nobody wrote is NaN, and a host that does not wait reads old bytes") {
    for (const char* name : {"unwritten dynamic shared", "unwritten static shared",
                             "unwritten global", "read without synchronize"}) {
        INFO("fault: " << std::string(name));
        CHECK(noticed(name) == "wrong result\n");
        CHECK(noticed(name, 1) == "wrong result\n");
    }
}

TEST_CASE("faults: threads that do not meet are an error with block, thread and lanes") {
    const struct {
        const char *name, *words;
    } cases[] = {
        {"divergent barrier", "__syncthreads()"},
        {"barrier after return", "__syncthreads()"},
        {"two kinds of barrier", "different kinds of __syncthreads()"},
        {"barriers in two branches", "meet in two places of the source"},
        {"barrier against shuffle", "deadlock"},
        {"divergent shuffle", "a shuffle"},
        {"mask without caller", "which does not name the calling lane"},
        {"shuffle from absent lane", "shuffles from lane 20, which does not take part"},
        {"mask of returned lanes", "ffffffff"},
        {"different masks", "mask 7fffffff"},
        {"different functions", "meet in different functions"},
        {"mma of half a warp", "mma.m16n8k8 needs all 32 lanes of a warp, and has 0000ffff"},
        {"ldmatrix of half a warp", "ldmatrix.x2 needs all 32 lanes"},
        {"mma in two branches", "in the mma.m16n8k8 of line"},
        {"ldmatrix in two branches", "in the ldmatrix.x4 of line"},
        {"ldmatrix of global memory", "a row outside shared memory"},
        {"misaligned shared access", "is not aligned"},
        {"trap", "__trap()"},
    };
    for (const auto& fault : cases)
        for (int seed = 0; seed <= (kTsan ? 0 : 2); ++seed) {
            INFO("fault: " << std::string(fault.name));
            const std::string text = noticed(fault.name, seed);
            CAPTURE(text);
            CHECK(contains(text, "error: cudaErrorLaunchFailure"));
            CHECK(contains(text, fault.words));
            CHECK(contains(text, "block ("));
            CHECK(contains(text, "thread ("));
            CHECK(contains(text, "simt::faults::"));
        }
}

TEST_CASE("faults: launches and copies that a T4 refuses are refused") {
    const struct {
        const char *name, *error, *words;
    } cases[] = {
        {"too many threads", "cudaErrorInvalidConfiguration", "a block of (32,33,1) threads"},
        {"no threads", "cudaErrorInvalidConfiguration", "a block of (0,1,1) threads"},
        {"no blocks", "cudaErrorInvalidConfiguration", "a grid of (0,1,1) blocks"},
        {"too many blocks", "cudaErrorInvalidConfiguration", "a grid of (1,65536,1) blocks"},
        {"shared memory without opt-in", "cudaErrorInvalidValue", "it may take 49152"},
        {"more shared memory than a T4 has", "cudaErrorInvalidValue", "a block may have 65536"},
        {"static and dynamic shared memory", "cudaErrorLaunchFailure", "a block may have 65536"},
        {"static shared memory over 48 KB", "cudaErrorLaunchFailure", "a kernel may have 49152"},
        {"copy past the end", "cudaErrorInvalidValue", "leaves its device memory"},
        {"free twice", "cudaErrorInvalidValue", "never gave"},
    };
    for (const auto& fault : cases) {
        INFO("fault: " << std::string(fault.name));
        const std::string text = noticed(fault.name);
        CAPTURE(text);
        CHECK(contains(text, fault.error));
        CHECK(contains(text, fault.words));
    }
}
