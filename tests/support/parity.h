#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/models/gpt_config.h"
#include "core/nn/recompute.h"
#include "core/optim/optimizer_config.h"
#include "parallel/comm/communicator.h"
#include "parallel/mesh/parallel_config.h"

namespace trireme {
class TrainingRank;
}

namespace trireme::testing {

/// A short training run of a tiny model on made-up data, the same in every layout.
struct ParityRun {
  GptConfig model;
  Precision precision = Precision::kFp64;
  int64_t num_steps = 50;
  int64_t global_batch_size = 12;
  int64_t micro_batch_size = 12;
  int64_t bucket_bytes = 600;  ///< several parameters in some buckets, one in others
  RecomputeOptions recompute = {};
  double lr = 3e-3;
  ParallelConfig parallel = {};
  int64_t first_step = 1;
  /// Called on every rank before the first step and after the last one.
  using Hook = std::function<void(Context&, Communicator& world, TrainingRank&)>;
  Hook before = {}, after = {};
};

struct ParityStep {
  double loss = 0;
  double grad_norm = 0;
  std::vector<std::vector<double>> gradients;  ///< by logical tensor, whole
};

/// What all ranks of a run hold together. Every rank gets the same.
struct ParityTrace {
  std::vector<std::string> names;
  std::vector<ParityStep> steps;
  std::vector<std::vector<double>> weights;  ///< after the last step
};

/// Collective over `world`. Fails the test where ranks that hold the same part of a tensor differ.
ParityTrace train(Communicator& world, const ParityRun& run);
/// On one rank, in one micro-batch.
ParityTrace train_alone(ParityRun run);
/// On thread ranks; fails the test where the ranks' traces are not the same bits. Returns rank 0's.
ParityTrace train_on_threads(int num_ranks, const ParityRun& run);

/// Largest error of two traces, and where. The error of a tensor is max|a-b| / max(max|b|, 1e-3 x the model's
/// largest max|b|), over the first `num_steps` steps, and over the weights when these are all. Key biases are
/// left out once the optimizer has stepped: their true gradient is zero, so Adam scales up rounding noise.
struct ParityError {
  double loss = 0;
  double gradient = 0;
  double weight = 0;
  std::string where;         ///< of the largest gradient error
  std::string weight_where;  ///< of the largest weight error
};
ParityError compare(const ParityTrace& trace, const ParityTrace& reference, size_t num_steps);
/// Losses, norms, gradients and weights bit by bit.
bool identical(const ParityTrace& a, const ParityTrace& b);

/// The models of the parity tests: two layers, dropout on, odd sizes. Tied GPT-2, untied grouped-query Llama.
GptConfig parity_gpt2();
GptConfig parity_llama();

}  // namespace trireme::testing
