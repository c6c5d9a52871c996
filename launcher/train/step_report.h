#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/tensor/allocator.h"
#include "launcher/train/evaluation.h"
#include "parallel/checkpoint/save_report.h"

namespace trireme {

/// What a training step tells the world; the same on every rank unless said otherwise.
struct StepReport {
  int64_t step = 0;
  double loss = 0;
  std::optional<double> disagreement;  ///< between attention heads, which `loss` takes off; where it is on
  double lr = 0;
  double grad_norm = 0;
  double loss_scale = 1;      ///< of fp16; else 1
  int64_t skipped_steps = 0;  ///< of the run so far: not finite, nothing was updated
  int64_t tokens = 0;         ///< since the run's first step
  double tokens_per_second = 0;
  double step_seconds = 0;
  std::optional<double> mfu;         ///< fraction of the peak; attention counted in full
  std::optional<double> mfu_causal;  ///< attention counted in half, as a causal mask needs it
  std::optional<double> tflops;      ///< TFLOP/s of all ranks, attention counted in full
  int64_t memory = 0;                ///< peak bytes of rank 0
  std::array<int64_t, kNumMemoryCategories> memory_by_category{};  ///< at that peak
  std::map<std::string, int64_t> communication;  ///< bytes that rank 0 gave in this step, by group of ranks
  std::map<std::string, double> waiting;         ///< seconds that rank 0 waited for them
  std::map<std::string, double> phases;          ///< seconds of rank 0 by phase
};

/// One JSON object without a line break; numbers that are not finite become null.
std::string to_json(const StepReport& report);
/// With the accuracy of tokens, and of whole samples, where such were counted.
std::string evaluation_json(int64_t step, const EvaluationResult& result, double seconds);
std::string save_json(const SaveReport& report);

/// Bytes a second that all ranks together copied to memory (nothing where training waited for the disk) and
/// wrote to the disk.
std::optional<double> snapshot_rate(const SaveReport& report);
double write_rate(const SaveReport& report);

}  // namespace trireme
