#include "engine/backends.h"

#include <algorithm>
#include <thread>

namespace yeoul {

std::unique_ptr<Backend> make_backend(const std::string& device, int threads) {
    if (device == "auto" || device == "cpu")
        return make_cpu_backend(threads);
    if (device == "cuda" || device.starts_with("cuda:"))
        throw Error(ErrorCode::device,
                    "device '" + device + "': this build has no CUDA backend; take --device cpu");
    throw Error(ErrorCode::invalid_argument,
                "device is '" + device + "', must be auto, cpu, cuda or cuda:N");
}

int usable_cores() {
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); // by affinity
}

std::vector<BackendReport> probe_backends() {
    BackendReport cpu{.kind = "cpu", .libraries = cpu_backend_libraries()};
    try {
        const std::unique_ptr<Backend> backend = make_cpu_backend(1);
        cpu.usable = true;
        cpu.properties = backend->properties();
        for (const char* precision : {"fp32", "bf16", "fp16"}) {
            try {
                backend->numerics(precision);
                cpu.precisions.push_back(precision);
            } catch (const Error&) {
                continue; // it lacks this one
            }
        }
    } catch (const Error& error) {
        cpu.problem = error.what();
        cpu.fix = "run on an x86-64 processor with at least SSE4.1";
    }
    BackendReport cuda{.kind = "cuda"};
    cuda.problem = "this build has no CUDA backend";
    cuda.fix = "none needed: the CPU backend serves every command";
    return {cpu, cuda};
}

} // namespace yeoul
