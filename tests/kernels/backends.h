// The backends of this build. The conformance tests run every case on each of them, or on those
// that YEOUL_TEST_BACKENDS names: cpu, simt or cuda, a GPU of this machine.
#pragma once

#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/backend.h"
#include "kernels/ops.h"
#include "tests/support/cuda_backend.h"
#include "tests/support/text.h"

namespace yeoul::test {

// ThreadSanitizer makes emulated kernels 10 to 80 times slower: it gets every path, not every size.
#if defined(__SANITIZE_THREAD__)
constexpr bool kEverySize = false;
#else
constexpr bool kEverySize = true;
#endif

struct BackendCase {
    std::string name;
    std::function<std::unique_ptr<Backend>()> make;
};

inline std::vector<BackendCase> backends() {
    const char* variable = std::getenv("YEOUL_TEST_BACKENDS");
    const std::string wanted = variable != nullptr ? variable : "";
    std::vector<BackendCase> cases;
    if (wanted.empty() || wanted == "cpu") {
        cases.push_back({"cpu, one thread", [] { return make_cpu_backend(1); }});
        cases.push_back({"cpu, two threads", [] { return make_cpu_backend(2); }});
    }
    if (wanted.empty() || wanted == "simt")
        cases.push_back({"simt", [] { return cuda::make_backend({}); }});
    if (wanted == "cuda")
        cases.push_back({"cuda", [] { return make_gpu_backend(); }});
    if (cases.empty()) // a test of nothing must not pass
        throw std::runtime_error("YEOUL_TEST_BACKENDS is '" + wanted +
                                 "', must be cpu, simt or "
                                 "cuda");
    return cases;
}

/// Runs `test(Backend&)` on each backend.
template <class Test>
void on_each_backend(Test test) {
    for (const BackendCase& entry : backends()) {
        INFO("backend: " << entry.name);
        const std::unique_ptr<Backend> backend = entry.make();
        test(*backend);
    }
}

/// Runs `test(Backend&, Numerics)` on each backend in each precision it has. The test of `numerics`
/// says which ones it lacks.
template <class Test>
void in_each_precision(Test test) {
    on_each_backend([&](Backend& backend) {
        for (const char* precision : {"fp32", "bf16", "fp16"}) {
            Numerics numerics;
            try {
                numerics = backend.numerics(precision);
            } catch (const Error&) {
                continue;
            }
            INFO("precision: " << precision);
            test(backend, numerics);
        }
    });
}

/// The message of the `Error` with that code that `action` throws; fails the test otherwise.
template <class Action>
std::string error_of(ErrorCode code, Action action) {
    try {
        action();
    } catch (const Error& error) {
        CHECK(name(error.code()) == name(code));
        return error.what();
    }
    FAIL_CHECK("no error was thrown");
    return {};
}

} // namespace yeoul::test
