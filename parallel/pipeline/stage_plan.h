#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/models/model.h"
#include "parallel/mesh/parallel_config.h"

namespace trireme {

/// Which blocks of a model every virtual stage runs. Virtual stage v = chunk * num_stages + stage, so a
/// micro-batch visits every stage once for each chunk (Narayanan et al. 2021, "Efficient large-scale language
/// model training on GPU clusters using Megatron-LM", section 2.2).
struct StagePlan {
  int num_stages = 1;
  int num_chunks = 1;
  std::vector<std::pair<size_t, size_t>> blocks;  ///< [begin, end) of each virtual stage

  int virtual_stage(int stage, int chunk) const { return chunk * num_stages + stage; }
  int num_virtual_stages() const { return num_stages * num_chunks; }
  bool is_last(int virtual_stage) const { return virtual_stage + 1 == num_virtual_stages(); }
};

/// Cuts the model as parallel.pipeline_layout says (layers of every virtual stage; an embedding joins the
/// layers that follow it, the head the last ones), or balanced: the slowest virtual stage takes as few
/// operations a token as possible, and among those cuts operations and parameters are spread most evenly
/// (least sum of squares). Throws ConfigError with the arithmetic for cuts that cannot be.
StagePlan plan_stages(const Model& model, const ParallelConfig& config, int64_t seq_length);

/// The parameters that the blocks of a stage own or share, each once, in the order of the forward pass.
std::vector<Parameter*> stage_parameters(const Model& model, const StagePlan& plan, int stage);
/// The buffers of these blocks.
std::vector<Buffer*> stage_buffers(const Model& model, const StagePlan& plan, int stage);
/// The parameters of one chunk of the stage.
std::vector<Parameter*> chunk_parameters(const Model& model, const StagePlan& plan, int stage, int chunk);

/// Gives parameters that several stages use (a tied embedding) their placement on the pipeline axis: each of
/// these stages makes a part of the gradient's sum. Returns the groups of stages that share something, each
/// once. The same on every rank.
std::vector<std::vector<int>> place_shared_parameters(const Model& model, const StagePlan& plan);

}  // namespace trireme
