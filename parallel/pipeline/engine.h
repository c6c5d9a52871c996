#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "parallel/pipeline/execution.h"

namespace trireme {

/// Runs this rank's stage of a model. Every stage is given all micro-batches of its data coordinate, so that
/// only activations and their gradients travel; the losses appear on the last stage.
class PipelineEngine {
 public:
  /// Told before the last action of a step that makes gradients of these parameters.
  using BeforeLast = std::function<void(const std::vector<Parameter*>&)>;

  /// `schedule` has the plan's stages and chunks; `activation` is the type of what passes between blocks.
  /// Everything must outlive the engine.
  PipelineEngine(Context& context, Mesh& mesh, Model& model, StagePlan plan, Schedule schedule,
                 DType activation);

  /// Forward and backward of the schedule's micro-batches, one pass each. Collective over the pipeline axis
  /// (and over those that the layers use). Fills the losses of the passes on the stages that make them.
  void run(std::vector<ForwardPass>& passes, const BeforeLast& before_last);
  /// The same of a single micro-batch, outside the schedule.
  void run_one(ForwardPass& pass);

  /// Forward passes only, without dropout, one micro-batch at a time from `next`, streaming through the
  /// stages. Returns this rank's share of the sums over all ranks: zero but on the first tensor rank of the
  /// stages that make losses. Ranks that differ in their data coordinate only may differ in `num_batches`.
  PerTerm<LossSum> evaluate(int64_t num_batches, const std::function<Batch()>& next);

  /// This rank's share of the losses that the passes hold after run().
  PerTerm<LossSum> share_of(const std::vector<ForwardPass>& passes) const;
  const StagePlan& plan() const { return plan_; }
  const Schedule& schedule() const { return schedule_; }
  /// What this rank did in the last run(), in seconds of its steady clock.
  const Timeline& timeline() const { return timeline_; }

 private:
  const std::vector<Action>& actions_of(const Schedule& schedule) const;

  Context& context_;
  Mesh& mesh_;
  Model& model_;
  StagePlan plan_;
  Schedule schedule_;
  DType activation_;
  std::map<size_t, std::vector<Parameter*>> last_gradients_;  ///< by place in this stage's actions
  Timeline timeline_;
};

}  // namespace trireme
