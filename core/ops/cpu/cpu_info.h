#pragma once

#include <string>

namespace trireme::ops::cpu {

/// What fast kernels tell apart, in rising order; ranks of one run agree on the lowest (their results differ
/// in rounding).
enum class InstructionSet : int { kBaseline, kAvx2, kAvx512, kAvx512Bf16, kAmx };
const char* name_of(InstructionSet set);  ///< "AVX-512 BF16", ...

/// The best set of this CPU; changes nothing.
InstructionSet supported_instruction_set();

/// Keeps oneDNN and the Highway kernels of this process to `set` and below. Call it before the first
/// operation: oneDNN fixes its choice there; throws DeviceError when that choice is already a higher set.
void limit_instruction_set(InstructionSet set);

/// What oneDNN uses ("AVX-512 BF16"). Fixes its choice, as a first operation does.
std::string instruction_set();

std::string dnnl_version();  ///< "2.6.3"
std::string cpu_model();     ///< as the system names it, or "unknown"

}  // namespace trireme::ops::cpu
