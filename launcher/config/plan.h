#pragma once

#include <string>

#include "core/data/sample_needs.h"
#include "launcher/config/run_config.h"

namespace trireme {

/// How the samples of a step are divided. global = micro * micro_batches * data_ranks.
struct BatchPlan {
  int64_t num_ranks = 1;
  int64_t data_ranks = 1;
  int64_t micro_batch_size = 1;   ///< samples
  int64_t micro_batches = 1;      ///< a rank takes in a step
  int64_t global_batch_size = 1;  ///< samples
  int64_t tokens_per_step = 0;    ///< 0: samples have their own lengths
};

/// A configuration with nothing left open, for a number of ranks.
struct RunPlan {
  RunConfig config;
  BatchPlan batch;
  SampleNeeds needs;
  std::string tokenizer_hash;  ///< empty: no tokenizer
};

/// Everything that can be checked before a rank computes: batch arithmetic, layout, schedule, the tokenizers,
/// what the objective asks of the data, and the model's own contradictions. Fills in what stands for
/// "derived". Throws one ConfigError with all problems; DataError where a tokenizer that is there cannot be
/// used. Reads no tokens, needs no MPI.
RunPlan plan_run(RunConfig config, int64_t num_ranks);

/// "2 ranks x 3 micro-batches x 4 samples = 24 samples = 1536 tokens a step", or "... = 24 samples a step".
std::string describe(const BatchPlan& batch);

}  // namespace trireme
