#pragma once

#include <memory>

#include "core/models/registry.h"
#include "parallel/step/micro_batches.h"
#include "parallel/step/train_step.h"

namespace trireme {

struct RankOptions {
  ModelConfig model;  ///< resolved
  ParallelConfig parallel;
  PrecisionConfig precision;
  OptimizerConfig optimizer;
  StepOptions step;  ///< clip_grad and seed as below
  int64_t micro_batch_size = 1;
  int64_t global_batch_size = 1;
  int64_t seq_length = 1;
  uint64_t seed = 0;  ///< of initial weights
};

/// Everything one rank needs to train, put together in the one order that works: mesh, model, stages,
/// parameters, optimizer, buckets, schedule, step. The model's memory is that of this rank's part only.
class TrainingRank {
 public:
  /// Collective over `world`; draws the initial weights. Context and world must outlive it. Throws
  /// ConfigError for layouts that cannot be.
  TrainingRank(Context& context, Communicator& world, const RankOptions& options);

  Mesh& mesh() { return mesh_; }
  Model& model() { return *model_; }
  ParameterStore& store() { return *store_; }
  Optimizer& optimizer() { return *optimizer_; }
  GradientBuckets& buckets() { return *buckets_; }
  PipelineEngine& engine() { return *engine_; }
  TrainStep& step() { return *step_; }
  /// Exchanges the weights with their moving average (optimizer.ema_decay), on every data rank; once more,
  /// and every bit is as before. Collective over the data ranks.
  void exchange_average(Context& context);
  /// How a step's samples are divided; this rank takes those of its data coordinate.
  const StepSamples& samples() const { return samples_; }

 private:
  Mesh mesh_;
  StepSamples samples_;
  std::unique_ptr<nn::LayerBuilder> builder_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<ParameterStore> store_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<GradientBuckets> buckets_;
  std::unique_ptr<PipelineEngine> engine_;
  std::unique_ptr<TrainStep> step_;
};

}  // namespace trireme
