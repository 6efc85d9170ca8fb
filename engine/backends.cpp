#include "engine/backends.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "engine/cuda_module.h"
#include "engine/tables.h"

namespace yeoul {
namespace {

/// 0 of "cuda", N of "cuda:N", -1 of anything else.
int cuda_index(const std::string& device) {
    if (device == "cuda")
        return 0;
    if (!device.starts_with("cuda:"))
        return -1;
    int index = -1;
    const char *first = device.data() + 5, *last = device.data() + device.size();
    const auto [end, error] = std::from_chars(first, last, index);
    return error == std::errc() && end == last && first != last ? index : -1;
}

/// Measuring the path of an older GPU on a newer one: YEOUL_CUDA_SM=75.
int asked_sm() {
    const char* text = std::getenv("YEOUL_CUDA_SM");
    return text ? std::atoi(text) : 0;
}

std::string isa_of(const CudaDevice& device) {
    return "sm_" + std::to_string(asked_sm() > 0 ? asked_sm() : device.sm);
}

struct Cuda {
    std::unique_ptr<Backend> backend; // or
    Problem problem;
};
/// What the shared object throws here, a GPU in exclusive use or out of memory for instance, is a
/// problem like the others.
Cuda open_cuda(int index, const std::function<void(const std::string&)>& warn) {
    const CudaModule module;
    if (module.problem())
        return {nullptr, module.problem()};
    try {
        const CudaReport report = module.report();
        if (Problem problem = cuda_problem(report, index))
            return {nullptr, std::move(problem)};
        CudaOptions options{.device = index, .sm = asked_sm(), .gemm_table = {}};
        const CudaDevice& device = report.devices[index];
        const std::string table = gemm_table_name(isa_of(device), device.name);
        options.gemm_table = read_table(table);
        try {
            return {module.make(options), {}};
        } catch (const Error& error) {
            if (options.gemm_table.empty() || error.code() != ErrorCode::invalid_argument)
                throw;
            warn("the GEMM table '" + table_path(table).string() +
                 "' is not used: " + error.what() + "; 'engine-run tune' writes it anew");
        }
        options.gemm_table.clear();
        return {module.make(options), {}};
    } catch (const Error& error) {
        return {nullptr, {error.what(), cuda_fix(error), true}};
    }
}

std::vector<std::string> precisions(const Backend& backend) {
    std::vector<std::string> taken;
    for (const char* precision : {"fp32", "bf16", "fp16"}) {
        try {
            backend.numerics(precision);
            taken.push_back(precision);
        } catch (const Error&) {
            continue; // it lacks this one
        }
    }
    return taken;
}

BackendReport probe_cpu() {
    BackendReport cpu{.kind = "cpu", .device = "cpu", .libraries = cpu_backend_libraries()};
    try {
        const std::unique_ptr<Backend> backend = make_cpu_backend(1);
        cpu.usable = true;
        cpu.properties = backend->properties();
        cpu.precisions = precisions(*backend);
    } catch (const Error& error) {
        cpu.problem = error.what();
        cpu.fix = "run on an x86-64 processor with at least SSE4.1";
    }
    return cpu;
}

BackendReport probe_cuda(const std::string& device) {
    const int index = cuda_index(device);
    BackendReport cuda{.kind = "cuda", .device = device};
    const CudaModule module;
    Problem problem = module.problem();
    try {
        if (!problem) {
            const CudaReport report = module.report();
            cuda.libraries = report.libraries;
            cuda.targets = report.targets;
            problem = cuda_problem(report, index);
        }
        if (!problem) {
            const auto backend = module.make({.device = index, .sm = asked_sm(), .gemm_table = {}});
            cuda.usable = true;
            cuda.properties = backend->properties();
            cuda.precisions = precisions(*backend);
        }
    } catch (const Error& error) {
        problem = {error.what(), cuda_fix(error), true};
    }
    cuda.problem = problem.what;
    cuda.fix = problem.fix;
    cuda.surprising = problem.surprising;
    return cuda;
}

} // namespace

std::unique_ptr<Backend> make_backend(const std::string& device, int threads,
                                      const std::function<void(const std::string&)>& warn) {
    if (device == "cpu")
        return make_cpu_backend(threads);
    const int index = device == "auto" ? 0 : cuda_index(device);
    YEOUL_REQUIRE(index >= 0, "device is '" << device << "', must be auto, cpu, cuda or cuda:N");
    const auto say = [&](const std::string& text) {
        if (warn)
            warn(text);
    };
    Cuda cuda = open_cuda(index, say);
    if (cuda.backend)
        return std::move(cuda.backend);
    if (device != "auto")
        throw Error(ErrorCode::device,
                    "device '" + device + "': " + cuda.problem.what + "; " +
                        (cuda.problem.surprising ? cuda.problem.fix + ", or " : std::string()) +
                        "take --device cpu");
    if (cuda.problem.surprising)
        say(cuda.problem.what + "; going on with the CPU. To use the GPU: " + cuda.problem.fix);
    return make_cpu_backend(threads);
}

std::vector<BackendReport> probe_backends(const std::string& device) {
    return {probe_cpu(), probe_cuda(cuda_index(device) >= 0 ? device : "cuda")};
}

} // namespace yeoul
