// What this processor is called and can do.
#pragma once

#include <string>

#include <yeoul/types.h>

namespace yeoul::cpu {

/// "AMD EPYC 7763 64-Core Processor", from the kernel.
std::string processor_name();

/// The instruction set that oneDNN will use: "avx2", "avx512_core_bf16".
std::string isa_name();

/// Whether oneDNN computes bf16 with instructions made for it; without them it refuses bf16 or
/// computes it slower than fp32.
bool has_bf16();

/// Throws `Error` with code `device` unless that is fp32, or bf16 where the processor has it.
void require_computable(const char* op, const char* what, DType dtype);

} // namespace yeoul::cpu
