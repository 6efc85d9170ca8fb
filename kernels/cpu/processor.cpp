#include "kernels/cpu/processor.h"

#include <fstream>

#include <dnnl.hpp>

#include <yeoul/error.h>

namespace yeoul::cpu {

std::string processor_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (line.rfind("model name", 0) != 0)
            continue;
        const size_t value = line.find_first_not_of(" \t", line.find(':') + 1);
        if (value != std::string::npos)
            return line.substr(value);
    }
    return "unknown processor";
}

std::string isa_name() {
    switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
        return "sse41";
    case dnnl::cpu_isa::avx:
        return "avx";
    case dnnl::cpu_isa::avx2:
        return "avx2";
    case dnnl::cpu_isa::avx2_vnni:
        return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core:
        return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni:
        return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
        return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx:
        return "avx512_core_amx";
    default:
        return "generic";
    }
}

bool has_bf16() {
    const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
    return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
}

void require_computable(const char* op, const char* what, DType dtype) {
    if (dtype == DType::f32 || (dtype == DType::bf16 && has_bf16()))
        return;
    throw Error(ErrorCode::device, std::string(op) + ": " + what + " is " +
                                       std::string(name(dtype)) + ", which this processor (" +
                                       isa_name() + ") does not compute; take fp32");
}

} // namespace yeoul::cpu
