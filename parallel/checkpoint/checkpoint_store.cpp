#include "parallel/checkpoint/checkpoint_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/host.h"
#include "core/base/log.h"
#include "core/base/trace.h"
#include "core/io/directory.h"
#include "core/io/directory_lock.h"
#include "parallel/checkpoint/agreement.h"
#include "parallel/checkpoint/logical_tensors.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/replica_check.h"
#include "parallel/checkpoint/restore_step.h"
#include "parallel/checkpoint/retention.h"
#include "parallel/checkpoint/save_plan.h"
#include "parallel/checkpoint/save_step.h"
#include "parallel/checkpoint/step_directory.h"
#include "parallel/checkpoint/strict_json.h"

namespace trireme {

using namespace checkpoint;

namespace {

std::string holder_line(const std::string& run_id) {
  const char* job = std::getenv("SLURM_JOB_ID");
  return fmt::format("run {} host {} pid {} job {}", run_id, host_name(), ::getpid(),
                     job == nullptr ? "none" : job);
}

std::vector<std::string> piece_names(const std::vector<Parameter*>& parameters) {
  std::vector<std::string> names;
  for (const Parameter* parameter : parameters)
    for (const ParameterPiece& piece : parameter->pieces) names.push_back(piece.name);
  return names;
}

void mark_changed(const ParameterStore& parameters) {
  for (Parameter* parameter : parameters.parameters()) ++parameter->version;
}

}  // namespace

struct CheckpointStore::Impl {
  std::string directory;
  Communicator& world;
  CheckpointConfig config;
  std::unique_ptr<io::DirectoryLock> lock;  ///< of rank 0
  int64_t history_step = -1;       ///< the newest step that this run continues or has written; -1: none
  std::vector<std::string> names;  ///< of the model's tensors, in its order
  SavePlan plan;                   ///< made at the first save or restore

  void make_plan(const std::vector<HeldTensor>& held);
  RestoreResult restore(const std::string& step_directory, const TrainingState& expected,
                        const std::vector<HeldTensor>& targets) {
    return restore_step(world, step_directory, expected, config, plan, targets);
  }
};

void CheckpointStore::Impl::make_plan(const std::vector<HeldTensor>& held) {
  const std::vector<TensorBox> boxes = boxes_of(held);
  if (plan.held.empty()) {
    plan = plan_save(gather_boxes(world, boxes), names);
    const std::vector<std::string> hashes = world.gather_bytes(plan.hash);
    for (size_t rank = 1; rank < hashes.size(); ++rank)
      if (hashes[rank] != hashes[0])
        throw CommError(
            fmt::format("rank {} plans another checkpoint than rank 0: their models or layouts differ", rank),
            ExitCode::kRanksDisagree);
  }
  TRIREME_ASSERT(plan.held[static_cast<size_t>(world.rank())] == boxes,
                 "what this rank holds is not what its checkpoints were planned for");
}

CheckpointStore::CheckpointStore(std::string directory, Communicator& world, const CheckpointConfig& config,
                                 const std::string& run_id, const std::vector<Parameter*>& model)
    : impl_(new Impl{std::move(directory), world, config, nullptr, -1, piece_names(model), {}}) {
  agree(world, [&] {
    if (!is_plain_name(run_id))
      throw ConfigError(fmt::format("run id '{}': expected letters, digits, '.', '_' or '-'", run_id));
    if (world.rank() != 0) return std::string();
    io::make_directories(impl_->directory);
    impl_->lock = std::make_unique<io::DirectoryLock>(impl_->directory, holder_line(run_id));
    remove_leftovers(impl_->directory);
    return std::string();
  });
}

CheckpointStore::~CheckpointStore() = default;

const std::string& CheckpointStore::directory() const {
  return impl_->directory;
}

bool CheckpointStore::save(Context& context, const TrainingState& state, const ParameterStore& parameters,
                           const std::vector<OptimizerState>& optimizer) {
  if (state.step == impl_->history_step) return false;
  const TraceSpan span(context.trace, "checkpoint/save");
  const std::vector<HeldTensor> held = held_tensors(parameters, optimizer);
  impl_->make_plan(held);
  check_replicas(impl_->world, held, impl_->plan);
  save_step(impl_->world, {impl_->directory, impl_->history_step}, state, held, impl_->plan);
  impl_->history_step = state.step;
  if (impl_->world.rank() == 0) remove_old_steps(impl_->directory, impl_->config.keep_last);
  return true;
}

std::optional<TrainingState> CheckpointStore::restore_newest(Context& context, const TrainingState& expected,
                                                             ParameterStore& parameters,
                                                             std::vector<OptimizerState>& optimizer) {
  const TraceSpan span(context.trace, "checkpoint/restore");
  const std::vector<HeldTensor> targets = held_tensors(parameters, optimizer);
  impl_->make_plan(targets);
  // Rank 0 lists the steps, so that all ranks try the same ones.
  const std::vector<std::string> lists = agree(impl_->world, [&] {
    std::string list;
    if (impl_->world.rank() == 0)
      for (const int64_t step : committed_steps(impl_->directory)) list += fmt::format("{} ", step);
    return list;
  });
  std::vector<int64_t> steps;
  std::istringstream words(lists[0]);
  for (int64_t step = 0; words >> step;) steps.push_back(step);
  for (size_t i = steps.size(); i-- > 0;) {
    const std::string path = impl_->directory + "/" + step_directory_name(steps[i]);
    RestoreResult result = impl_->restore(path, expected, targets);
    if (result.damage.empty()) {
      impl_->history_step = steps[i];
      mark_changed(parameters);
      return result.state;
    }
    if (impl_->world.rank() == 0)
      log::warning("checkpoint '{}' cannot be used, trying the one before it: {}", path, result.damage);
  }
  if (!steps.empty())
    throw CheckpointError(
        fmt::format("every checkpoint in '{}' is damaged; to begin again, use "
                    "training.resume: never",
                    impl_->directory));
  return std::nullopt;
}

TrainingState CheckpointStore::restore(Context& context, const std::string& step_directory,
                                       const TrainingState& expected, ParameterStore& parameters,
                                       std::vector<OptimizerState>& optimizer) {
  const TraceSpan span(context.trace, "checkpoint/restore");
  const std::vector<HeldTensor> targets = held_tensors(parameters, optimizer);
  impl_->make_plan(targets);
  RestoreResult result = impl_->restore(step_directory, expected, targets);
  if (!result.damage.empty()) throw CheckpointError(result.damage);
  mark_changed(parameters);
  const std::filesystem::path parent = std::filesystem::weakly_canonical(step_directory).parent_path();
  if (parent == std::filesystem::weakly_canonical(impl_->directory)) impl_->history_step = result.state.step;
  return result.state;
}

TrainingState read_training_state(const std::string& step_directory) {
  return load_manifest(step_directory).state;
}

std::optional<std::string> newest_checkpoint(const std::string& directory) {
  const std::vector<int64_t> steps = committed_steps(directory);
  for (size_t i = steps.size(); i-- > 0;) {
    std::string path = directory + "/" + step_directory_name(steps[i]);
    try {
      load_manifest(path);
      return path;
    } catch (const NewerFormatError&) {
      throw;
    } catch (const CheckpointError& error) {
      log::warning("checkpoint '{}' cannot be used, trying the one before it: {}", path, error.what());
    }
  }
  return std::nullopt;
}

}  // namespace trireme
