#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "core/base/fields.h"

namespace trireme {

/// gpipe: Huang et al. 2019, arXiv:1811.06965. 1f1b: PipeDream-flush, Narayanan et al. 2021,
/// arXiv:2006.09503. interleaved: Narayanan et al. 2021, arXiv:2104.04473, section 2.2. zb-h1: Qi et al.
/// 2023, arXiv:2401.10241, section 2.1.
enum class PipelineSchedule { kGpipe, k1f1b, kInterleaved, kZeroBubble };
inline constexpr std::array<std::pair<const char*, PipelineSchedule>, 4> kPipelineScheduleNames = {
    {{"gpipe", PipelineSchedule::kGpipe},
     {"1f1b", PipelineSchedule::k1f1b},
     {"interleaved", PipelineSchedule::kInterleaved},
     {"zb-h1", PipelineSchedule::kZeroBubble}}};

/// Section `parallel`.
struct ParallelConfig {
  int64_t tensor_model_parallel_size = 1;
  int64_t pipeline_model_parallel_size = 1;
  int64_t context_parallel_size = 1;
  int64_t expert_model_parallel_size = 1;
  bool sequence_parallel = false;  ///< needs a tensor axis
  PipelineSchedule pipeline_schedule = PipelineSchedule::k1f1b;
  int64_t virtual_pipeline_model_parallel_size = 1;  ///< chunks of layers a stage; above 1: interleaved
  std::vector<int64_t> pipeline_layout;              ///< layers of every virtual stage; empty: balanced
  int64_t zero_stage = 0;                            ///< 1: optimizer state divided over data ranks
  std::string rank_order = "tp-cp-ep-dp-pp";         ///< fastest axis first
  double bucket_size_mb = 25;                        ///< of gradient buckets, MB
  int64_t replica_check_interval = 0;                ///< steps; 0: never
  double distributed_timeout_seconds = 600;          ///< deadline of every wait on another rank

  void fields(FieldVisitor& visitor);
};

}  // namespace trireme
