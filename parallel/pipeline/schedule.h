#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/mesh/parallel_config.h"

namespace trireme {

const char* name_of(PipelineSchedule kind);

/// One thing that a stage does. A send or receive names the micro-batch and the chunk of the rank that does
/// it: "send forward" sends what its forward of (micro_batch, chunk) made, "receive forward" receives what
/// its forward of (micro_batch, chunk) needs.
struct Action {
  enum class Kind {
    kForward,
    kBackward,        ///< input and weight gradients together
    kBackwardInput,   ///< gradients of the inputs: the stage before waits for them
    kBackwardWeight,  ///< gradients of the parameters: nobody waits for them
    kSendForward,
    kReceiveForward,
    kSendBackward,
    kReceiveBackward
  };
  static constexpr int kNumKinds = 8;

  Kind kind;
  int micro_batch;
  int chunk;  ///< chunk c of stage s is the virtual stage c * num_stages + s

  bool operator==(const Action&) const = default;
};
const char* name_of(Action::Kind kind);
bool is_transfer(Action::Kind kind);  ///< a send or a receive
bool is_receive(Action::Kind kind);
/// "forward of micro-batch 3, chunk 0".
std::string describe(const Action& action);

/// What each stage does, in its order.
struct Schedule {
  int num_stages;
  int num_chunks;  ///< of each stage
  int num_micro_batches;
  std::vector<std::vector<Action>> stages;

  int num_virtual_stages() const { return num_stages * num_chunks; }
  int virtual_stage(int stage, int chunk) const { return chunk * num_stages + stage; }
};

/// An action and the stage that does it.
struct StageAction {
  int stage;
  Action action;
};

/// The receive that belongs to a send of `stage`, or the send that belongs to a receive.
StageAction other_end(const Schedule& schedule, int stage, const Action& transfer);

/// In every schedule the backwards (and the weight gradients) of a chunk run in the order of the
/// micro-batches, so gradients are added in the order of one rank. A receive stands right before the action
/// that needs it, a send right after the action that made it; one stage sends nothing. Only `interleaved`
/// takes several chunks; every schedule takes any number of micro-batches. Throws ConfigError with the
/// arithmetic for what cannot be.
Schedule make_schedule(PipelineSchedule kind, int num_stages, int num_chunks, int num_micro_batches);
Schedule make_schedule(const ParallelConfig& parallel, int64_t num_micro_batches);

}  // namespace trireme
