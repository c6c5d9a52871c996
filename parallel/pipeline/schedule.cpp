#include "parallel/pipeline/schedule.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/check.h"
#include "core/base/error.h"

namespace trireme {
namespace {

using Kind = Action::Kind;

void refuse_impossible(PipelineSchedule kind, int num_stages, int num_chunks, int num_micro_batches) {
  const std::string given = fmt::format(
      "pipeline schedule {}: {} stages x {} chunks a stage = {} virtual stages, {} micro-batches: ",
      name_of(kind), num_stages, num_chunks, int64_t{num_stages} * num_chunks, num_micro_batches);
  if (std::min({num_stages, num_chunks, num_micro_batches}) < 1)
    throw ConfigError(given + "each must be at least 1");
  static constexpr const char* kKey = "parallel.virtual_pipeline_model_parallel_size";
  if (kind == PipelineSchedule::kInterleaved && num_chunks == 1)
    throw ConfigError(
        fmt::format("{}it needs 2 or more chunks a stage; set {} to 2, or take 1f1b", given, kKey));
  if (kind != PipelineSchedule::kInterleaved && num_chunks > 1)
    throw ConfigError(
        fmt::format("{}it takes 1 chunk a stage; set {} to 1, or take interleaved", given, kKey));
}

/// Micro-batches pass through the chunks of a stage in groups, each group through one chunk after the other.
/// A group of num_stages keeps every stage busy until its first micro-batch comes back for the next chunk;
/// larger groups hold more activations. So groups are as small as that allows and equal within one, the
/// larger first.
std::vector<int> group_sizes(int num_stages, int num_micro_batches) {
  const int num_groups = std::max(1, num_micro_batches / num_stages);
  std::vector<int> sizes(static_cast<size_t>(num_groups), num_micro_batches / num_groups);
  std::for_each_n(sizes.begin(), num_micro_batches % num_groups, [](int& size) { ++size; });
  return sizes;
}

/// The forwards of a stage in their order.
std::vector<Action> forwards_of(const Schedule& of) {
  std::vector<Action> forwards;
  int first = 0;
  for (const int size : group_sizes(of.num_stages, of.num_micro_batches)) {
    for (int chunk = 0; chunk < of.num_chunks; ++chunk)
      for (int i = 0; i < size; ++i) forwards.push_back({Kind::kForward, first + i, chunk});
    first += size;
  }
  return forwards;
}

/// One kind of work, and how many forwards the stage is ahead of it.
struct Lane {
  Kind kind;
  int lag;
};

/// All work of a stage: in every slot of the schedule the next of each lane, in this order.
std::vector<Lane> lanes_of(PipelineSchedule kind, int stage, const Schedule& of) {
  const int stages_after = of.num_stages - 1 - stage;
  switch (kind) {
    case PipelineSchedule::kGpipe:
      return {{Kind::kForward, 0}, {Kind::kBackward, of.num_micro_batches}};
    case PipelineSchedule::k1f1b:
      return {{Kind::kForward, 0}, {Kind::kBackward, stages_after}};
    case PipelineSchedule::kInterleaved: {
      const int largest_group = group_sizes(of.num_stages, of.num_micro_batches).front();
      return {{Kind::kForward, 0}, {Kind::kBackward, 2 * stages_after + (of.num_chunks - 1) * largest_group}};
    }
    case PipelineSchedule::kZeroBubble:  // a stage holds num_stages micro-batches until their weight
                                         // gradients
      return {{Kind::kForward, 0},
              {Kind::kBackwardInput, stages_after},
              {Kind::kBackwardWeight, stages_after + stage}};
  }
  return {};
}

std::vector<Action> order_work(const std::vector<Lane>& lanes, const Schedule& of) {
  const auto forwards = forwards_of(of);
  const int num_forwards = static_cast<int>(forwards.size());
  std::vector<Action> work;
  for (int slot = 0; slot < num_forwards + lanes.back().lag; ++slot)
    for (const auto& [kind, lag] : lanes) {
      if (slot < lag || slot - lag >= num_forwards) continue;
      const Action& forward = forwards[static_cast<size_t>(slot - lag)];
      // Backwards take the same way, from the last chunk to the first.
      const int chunk = kind == Kind::kForward ? forward.chunk : of.num_chunks - 1 - forward.chunk;
      work.push_back({kind, forward.micro_batch, chunk});
    }
  return work;
}

std::vector<Action> with_transfers(const std::vector<Action>& work, int stage, const Schedule& schedule) {
  if (schedule.num_stages == 1) return work;
  std::vector<Action> actions;
  for (const Action& action : work) {
    const int place = schedule.virtual_stage(stage, action.chunk);
    const bool first = place == 0, last = place == schedule.num_virtual_stages() - 1;
    const auto transfer = [&](Kind kind) { actions.push_back({kind, action.micro_batch, action.chunk}); };
    const bool forward = action.kind == Kind::kForward;
    const bool backward = action.kind == Kind::kBackward || action.kind == Kind::kBackwardInput;
    if (forward && !first) transfer(Kind::kReceiveForward);
    if (backward && !last) transfer(Kind::kReceiveBackward);
    actions.push_back(action);
    if (forward && !last) transfer(Kind::kSendForward);
    if (backward && !first) transfer(Kind::kSendBackward);
  }
  return actions;
}

}  // namespace

const char* name_of(PipelineSchedule kind) {
  return kPipelineScheduleNames[static_cast<size_t>(kind)].first;
}

const char* name_of(Action::Kind kind) {
  static constexpr std::array<const char*, Action::kNumKinds> kNames = {
      "forward",      "backward",        "backward-input", "backward-weight",
      "send forward", "receive forward", "send backward",  "receive backward"};
  return kNames[static_cast<size_t>(kind)];
}

bool is_transfer(Action::Kind kind) {
  return kind >= Kind::kSendForward;
}

bool is_receive(Action::Kind kind) {
  return kind == Kind::kReceiveForward || kind == Kind::kReceiveBackward;
}

std::string describe(const Action& action) {
  return fmt::format("{} of micro-batch {}, chunk {}", name_of(action.kind), action.micro_batch,
                     action.chunk);
}

StageAction other_end(const Schedule& schedule, int stage, const Action& transfer) {
  struct End {
    Kind kind;
    int step;
  };
  static constexpr std::array<End, 4> kEnds = {{{Kind::kReceiveForward, 1},
                                                {Kind::kSendForward, -1},
                                                {Kind::kReceiveBackward, -1},
                                                {Kind::kSendBackward, 1}}};
  TRIREME_ASSERT(is_transfer(transfer.kind), describe(transfer) + " has no other end");
  const End end = kEnds[static_cast<size_t>(transfer.kind) - static_cast<size_t>(Kind::kSendForward)];
  const int place = schedule.virtual_stage(stage, transfer.chunk) + end.step;
  return {place % schedule.num_stages, {end.kind, transfer.micro_batch, place / schedule.num_stages}};
}

Schedule make_schedule(PipelineSchedule kind, int num_stages, int num_chunks, int num_micro_batches) {
  refuse_impossible(kind, num_stages, num_chunks, num_micro_batches);
  Schedule schedule{num_stages, num_chunks, num_micro_batches, {}};
  for (int stage = 0; stage < num_stages; ++stage)
    schedule.stages.push_back(
        with_transfers(order_work(lanes_of(kind, stage, schedule), schedule), stage, schedule));
  return schedule;
}

Schedule make_schedule(const ParallelConfig& parallel, int64_t num_micro_batches) {
  return make_schedule(parallel.pipeline_schedule, static_cast<int>(parallel.pipeline_model_parallel_size),
                       static_cast<int>(parallel.virtual_pipeline_model_parallel_size),
                       static_cast<int>(num_micro_batches));
}

}  // namespace trireme
