#include "parallel/checkpoint/checkpoint_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
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
#include "core/io/file.h"
#include "parallel/checkpoint/agreement.h"
#include "parallel/checkpoint/fault.h"
#include "parallel/checkpoint/logical_tensors.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/replica_check.h"
#include "parallel/checkpoint/restore_step.h"
#include "parallel/checkpoint/retention.h"
#include "parallel/checkpoint/save_plan.h"
#include "parallel/checkpoint/save_step.h"
#include "parallel/checkpoint/staging.h"
#include "parallel/checkpoint/step_directory.h"

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

/// Adds the time of its scope to `seconds`.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() {
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void mark_changed(const ParameterStore& parameters) {
  for (Parameter* parameter : parameters.parameters()) ++parameter->version;
}

}  // namespace

struct CheckpointStore::Impl {
  std::string directory;
  std::unique_ptr<Communicator> group;  ///< of its own: a save under way never crosses what training says
  CheckpointConfig config;
  std::unique_ptr<io::DirectoryLock> lock;  ///< of rank 0
  int64_t history_step = -1;       ///< the newest step that this run continues or has written; -1: none
  std::vector<std::string> names;  ///< of the model's tensors, in its order
  SavePlan plan;                   ///< made at the first save or restore
  std::vector<std::string> hosts;  ///< by rank
  std::optional<Staging> staging;  ///< of asynchronous saves
  int64_t num_skipped = 0;
  double stall_seconds = 0;        ///< of the save under way
  std::unique_ptr<SaveStep> step;  ///< under way

  void make_plan(const std::vector<HeldTensor>& held);
  /// Begins a save; `copies` to the staging memory, or else training must wait for its end.
  void start(Context& context, const TrainingState& state, const std::vector<HeldTensor>& held, bool copies);
  std::optional<SaveReport> advance();
  std::optional<SaveReport> wait();

  RestoreResult restore(const std::string& step_directory, const TrainingState& expected,
                        const std::vector<HeldTensor>& targets) {
    return restore_step(*group, step_directory, expected, config, plan, targets);
  }
};

void CheckpointStore::Impl::make_plan(const std::vector<HeldTensor>& held) {
  const std::vector<TensorBox> boxes = boxes_of(held);
  if (plan.held.empty()) {
    plan = plan_save(gather_boxes(*group, boxes), names);
    const std::vector<std::string> hashes = group->gather_bytes(plan.hash);
    for (size_t rank = 1; rank < hashes.size(); ++rank)
      if (hashes[rank] != hashes[0])
        throw CommError(
            fmt::format("rank {} plans another checkpoint than rank 0: their models or layouts differ", rank),
            ExitCode::kRanksDisagree);
    hosts = group->gather_bytes(host_name());
  }
  TRIREME_ASSERT(plan.held[static_cast<size_t>(group->rank())] == boxes,
                 "what this rank holds is not what its checkpoints were planned for");
}

void CheckpointStore::Impl::start(Context& context, const TrainingState& state,
                                  const std::vector<HeldTensor>& held, bool copies) {
  stall_seconds = 0;
  const Stopwatch stall(stall_seconds);
  TRIREME_ASSERT(!step && state.step != history_step, "a step is saved twice, or while another is under way");
  group->set_step(state.step);
  make_plan(held);
  if (copies && !staging) staging.emplace(context, *group, plan, hosts);
  check_replicas(*group, held, plan, context.num_threads);
  step = std::make_unique<SaveStep>(*group, plan, SaveTarget{directory, history_step, config, hosts}, state);

  const int rank = group->rank();
  std::vector<Tensor> boxes;
  for (const PlannedBox& planned : plan.ranks[static_cast<size_t>(rank)])
    boxes.push_back(part_of(held[planned.held], planned.box));
  double snapshot_seconds = 0;
  const Outcome snapshot = attempt(rank, [&] {
    const Stopwatch watch(snapshot_seconds);
    if (copies) boxes = staging->copy(context, boxes);
    fault_point("snapshot", rank);
    return std::string();
  });
  step->write(snapshot, std::move(boxes), copies ? snapshot_seconds : 0);
}

std::optional<SaveReport> CheckpointStore::Impl::advance() {
  {
    const Stopwatch stall(stall_seconds);
    if (!step->advance()) return std::nullopt;
  }
  SaveReport report = step->report();
  step.reset();
  report.stall_seconds = stall_seconds;
  report.num_skipped = num_skipped;
  if (!report.error) history_step = report.step;
  return report;
}

std::optional<SaveReport> CheckpointStore::Impl::wait() {
  std::optional<SaveReport> report;
  while (step && !report) {
    {
      const Stopwatch stall(stall_seconds);
      step->rest();
    }
    report = advance();
  }
  return report;
}

CheckpointStore::CheckpointStore(std::string directory, Communicator& world, const CheckpointConfig& config,
                                 const std::string& run_id, const std::vector<Parameter*>& model)
    : impl_(std::make_unique<Impl>()) {
  impl_->directory = std::move(directory);
  impl_->group = world.split(0, world.rank(), "checkpoint");
  impl_->config = config;
  impl_->names = piece_names(model);
  agree(*impl_->group, [&] {
    if (!io::is_plain_name(run_id))
      throw ConfigError(fmt::format("run id '{}': expected letters, digits, '.', '_' or '-'", run_id));
    if (world.rank() != 0) return std::string();
    io::make_directories(impl_->directory);
    impl_->lock = std::make_unique<io::DirectoryLock>(impl_->directory, holder_line(run_id));
    remove_leftovers(impl_->directory);
    return std::string();
  });
}

CheckpointStore::~CheckpointStore() {
  // The run ends, and a disk that hangs must not keep it: what its writer uses stays as long as the process.
  if (impl_->step && !impl_->step->give_up()) static_cast<void>(impl_.release());
}

const std::string& CheckpointStore::directory() const {
  return impl_->directory;
}

void CheckpointStore::prepare(Context& context, const ParameterStore& parameters,
                              const std::vector<OptimizerState>& optimizer) {
  impl_->make_plan(held_tensors(parameters, optimizer));
  if (impl_->config.saves_in_background() && !impl_->staging)
    impl_->staging.emplace(context, *impl_->group, impl_->plan, impl_->hosts);
}

std::optional<SaveReport> CheckpointStore::save(Context& context, const TrainingState& state,
                                                const ParameterStore& parameters,
                                                const std::vector<OptimizerState>& optimizer) {
  if (state.step == impl_->history_step) return std::nullopt;
  const TraceSpan span(context.trace, "checkpoint/save");
  impl_->start(context, state, held_tensors(parameters, optimizer), false);
  std::optional<SaveReport> report = impl_->wait();
  if (report->error) throw CheckpointError(*report->error);
  return report;
}

bool CheckpointStore::start_save(Context& context, const TrainingState& state,
                                 const ParameterStore& parameters,
                                 const std::vector<OptimizerState>& optimizer) {
  if (impl_->step) {
    ++impl_->num_skipped;
    return false;
  }
  const TraceSpan span(context.trace, "checkpoint/save");
  impl_->start(context, state, held_tensors(parameters, optimizer), true);
  return true;
}

std::optional<SaveReport> CheckpointStore::poll() {
  return impl_->step ? impl_->advance() : std::nullopt;
}

std::optional<SaveReport> CheckpointStore::poll_to_commit() {
  // What the first call reads was said a step ago, what the second reads is said now.
  for (int call = 0; call < 2 && impl_->step && !impl_->step->is_written(); ++call)
    if (std::optional<SaveReport> report = impl_->advance()) return report;
  return impl_->step && impl_->step->is_written() ? impl_->wait() : std::nullopt;
}

std::optional<SaveReport> CheckpointStore::wait() {
  return impl_->wait();
}

bool CheckpointStore::is_saving() const {
  return impl_->step != nullptr;
}

std::optional<TrainingState> CheckpointStore::restore_newest(Context& context, const TrainingState& expected,
                                                             ParameterStore& parameters,
                                                             std::vector<OptimizerState>& optimizer) {
  const TraceSpan span(context.trace, "checkpoint/restore");
  const std::vector<HeldTensor> targets = held_tensors(parameters, optimizer);
  impl_->make_plan(targets);
  // Rank 0 lists the steps, so that all ranks try the same ones.
  const std::vector<std::string> lists = agree(*impl_->group, [&] {
    std::string list;
    if (impl_->group->rank() == 0)
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
    if (impl_->group->rank() == 0)
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
