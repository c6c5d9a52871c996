#include "core/ops/cpu/cpu_info.h"

#include <fmt/format.h>
#include <hwy/highway.h>
#include <hwy/targets.h>

#include <dnnl.hpp>
#include <fstream>

#include "core/base/error.h"

namespace trireme::ops::cpu {
namespace {

/// oneDNN's sets are bit masks: a larger set has the bits of the smaller ones.
InstructionSet from_dnnl(dnnl::cpu_isa isa) {
  const auto has = [&](dnnl::cpu_isa wanted) {
    return (static_cast<int>(isa) & static_cast<int>(wanted)) == static_cast<int>(wanted);
  };
  if (static_cast<int>(isa) == 0 || has(dnnl::cpu_isa::avx512_core_amx)) return InstructionSet::kAmx;
  if (has(dnnl::cpu_isa::avx512_core_bf16)) return InstructionSet::kAvx512Bf16;
  if (has(dnnl::cpu_isa::avx512_core)) return InstructionSet::kAvx512;
  return has(dnnl::cpu_isa::avx2) ? InstructionSet::kAvx2 : InstructionSet::kBaseline;
}

dnnl::cpu_isa to_dnnl(InstructionSet set) {
  switch (set) {
    case InstructionSet::kBaseline:
      return dnnl::cpu_isa::sse41;
    case InstructionSet::kAvx2:
      return dnnl::cpu_isa::avx2;
    case InstructionSet::kAvx512:
      return dnnl::cpu_isa::avx512_core;
    case InstructionSet::kAvx512Bf16:
      return dnnl::cpu_isa::avx512_core_bf16;
    default:
      return dnnl::cpu_isa::avx512_core_amx;
  }
}

void limit_highway(InstructionSet set) {
#if HWY_ARCH_X86
  // Better targets have lower bits. Those of 512 bits give the same results.
  if (set >= InstructionSet::kAvx512) return;
  const int64_t best = set == InstructionSet::kAvx2 ? HWY_AVX2 : HWY_SSE4;
  hwy::DisableTargets(best - 1);
#else
  static_cast<void>(set);
#endif
}

}  // namespace

const char* name_of(InstructionSet set) {
  static constexpr const char* kNames[] = {"baseline", "AVX2", "AVX-512", "AVX-512 BF16", "AMX"};
  return kNames[static_cast<int>(set)];
}

InstructionSet supported_instruction_set() {
#if HWY_ARCH_X86
  if (__builtin_cpu_supports("amx-bf16")) return InstructionSet::kAmx;
  if (__builtin_cpu_supports("avx512bf16")) return InstructionSet::kAvx512Bf16;
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return InstructionSet::kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

void limit_instruction_set(InstructionSet set) {
  if (set >= supported_instruction_set()) return;
  limit_highway(set);
  if (dnnl_set_max_cpu_isa(static_cast<dnnl_cpu_isa_t>(to_dnnl(set))) == dnnl_success) return;
  const InstructionSet fixed = from_dnnl(dnnl::get_effective_cpu_isa());
  if (fixed > set)
    throw DeviceError(
        fmt::format("the ranks agreed on the instruction set {}, but oneDNN already runs {} here; "
                    "set DNNL_MAX_CPU_ISA for all ranks",
                    name_of(set), name_of(fixed)));
}

std::string instruction_set() {
  return name_of(from_dnnl(dnnl::get_effective_cpu_isa()));
}

std::string dnnl_version() {
  const dnnl_version_t& version = *::dnnl_version();
  return fmt::format("{}.{}.{}", version.major, version.minor, version.patch);
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

}  // namespace trireme::ops::cpu
