#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "core/models/model.h"
#include "parallel/mesh/mesh.h"
#include "parallel/pipeline/boundary.h"
#include "parallel/pipeline/schedule.h"
#include "parallel/pipeline/stage_plan.h"
#include "parallel/pipeline/timeline.h"

namespace trireme {

/// Carries out one stage's actions over the micro-batches of a step. A chunk's forward starts at leaves that
/// hold what was received; its graph is kept until its backward, which is given what was received in turn.
/// Receives are posted while the action before the one that needs them still computes.
class Execution {
 public:
  using Clock = std::chrono::steady_clock;

  /// `passes`: one a micro-batch. `activation` is the type of what crosses a boundary. Everything outlives
  /// it.
  Execution(Context& context, Mesh& mesh, Model& model, const StagePlan& plan, DType activation,
            std::vector<ForwardPass>& passes, Outbox& outbox);

  /// `before` is called with the place of each action in the list before it starts. Without grad mode only
  /// forward actions may come, and nothing is kept.
  void run(const std::vector<Action>& actions, const std::function<void(size_t)>& before);
  /// Seconds of the steady clock.
  Timeline take_events() { return std::move(events_); }

 private:
  /// What one micro-batch leaves in one chunk between its actions.
  struct Slot {
    std::vector<Variable> inputs;   ///< leaves; the first virtual stage has none
    std::vector<Variable> outputs;  ///< their values are given away when they are sent
    std::vector<Tensor> arrived;    ///< values before forward, gradients before backward
    DeferredWork weight_gradients;  ///< of a split backward
  };
  /// The other end of a transfer.
  struct Peer {
    int stage;
    int tag;
  };

  void post_receives(const std::vector<Action>& actions, size_t begin);
  void carry_out(const Action& action, size_t index);
  void forward(const Action& action);
  void backward(const Action& action, bool split);
  std::vector<Tensor> input_gradients(Slot& slot);

  Slot& slot(const Action& action) { return slot(action.micro_batch, action.chunk); }
  Slot& slot(int micro_batch, int chunk);
  ForwardPass& pass(const Action& action) { return passes_[static_cast<size_t>(action.micro_batch)]; }
  int virtual_stage(const Action& action) const;
  Peer peer(const Action& transfer) const;

  Context& context_;
  Mesh& mesh_;
  Model& model_;
  const StagePlan& plan_;
  DType activation_;
  std::vector<ForwardPass>& passes_;
  Outbox& outbox_;
  std::vector<Slot> slots_;
  std::map<size_t, Incoming> incoming_;  ///< by place of the receive in the list
  Timeline events_;
};

}  // namespace trireme
