// The backends of this build. The conformance tests run every case on each of them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/backend.h"
#include "kernels/ops.h"

namespace yeoul::test {

struct BackendCase {
    std::string name;
    std::function<std::unique_ptr<Backend>()> make;
};

inline std::vector<BackendCase> backends() {
    return {
        {"cpu, one thread", [] { return make_cpu_backend(1); }},
        {"cpu, two threads", [] { return make_cpu_backend(2); }},
        {"simt", [] { return cuda::make_backend({}); }},
    };
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

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

} // namespace yeoul::test
