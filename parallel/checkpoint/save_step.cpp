#include "parallel/checkpoint/save_step.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/io/file.h"
#include "parallel/checkpoint/assemble_manifest.h"
#include "parallel/checkpoint/fault.h"
#include "parallel/checkpoint/index_file.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/retention.h"
#include "parallel/checkpoint/step_directory.h"

namespace trireme::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kReportTag = 1;
constexpr std::chrono::milliseconds kRest{20};
/// For a background that was told to end; less than failed ranks wait for each other.
constexpr std::chrono::milliseconds kPatience{2000};

/// What a rank says of itself in begin_flags.
struct Flags {
  int64_t num_bytes;  ///< of its message; kNotYet: its background works
  int64_t is_late;    ///< rank 0: the save has taken too long
};
constexpr int64_t kNotYet = -1;
constexpr int64_t kNumFlags = 2;
static_assert(sizeof(Flags) == kNumFlags * sizeof(int64_t));

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string text_of(const Tensor& bytes) {
  return {reinterpret_cast<const char*>(bytes.raw()), static_cast<size_t>(bytes.num_bytes())};
}

Tensor make_bytes(Allocator& allocator, int64_t count) {
  return Tensor::allocate(allocator, {count}, DType::kUInt8, MemoryCategory::kWorkspace);
}

std::string temporary_path(const SaveTarget& target, const TrainingState& state) {
  return fmt::format("{}/.tmp-{}-{}", target.directory, step_directory_name(state.step), state.run_id);
}

std::unique_ptr<io::TemporaryDirectory> open_step(const SaveTarget& target, const TrainingState& state,
                                                  const SavePlan& plan) {
  int64_t needed = plan.num_bytes;
  for (const auto& planned : plan.ranks) needed += metadata_allowance(planned.size());
  const int64_t free = io::free_bytes(target.directory);
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  if (free < needed)
    throw IoError(
        fmt::format("a checkpoint takes {:.3f} GiB and '{}' has {:.3f} GiB free; make room, or lower "
                    "checkpoint.keep_last",
                    static_cast<double>(needed) / kGiB, target.directory, static_cast<double>(free) / kGiB));
  return std::make_unique<io::TemporaryDirectory>(temporary_path(target, state));
}

void write_hint(const std::string& directory, int64_t step) {
  try {
    replace_file(directory + "/latest", step_directory_name(step) + "\n");
    fault_point("latest", 0);
  } catch (const std::exception& error) {
    log::warning("the hint 'latest' could not be written: {}", error.what());
  }
}

/// What several ranks hold and one of them writes.
int64_t bytes_of_replicas(const SavePlan& plan) {
  int64_t bytes = -plan.num_bytes;
  for (const auto& held : plan.held)
    for (const TensorBox& box : held) bytes += box.num_bytes();
  return bytes;
}

}  // namespace

SaveStep::SaveStep(Communicator& group, const SavePlan& plan, SaveTarget target, const TrainingState& state)
    : group_(group), plan_(plan), target_(std::move(target)), state_(state), start_(Clock::now()) {
  report_.step = state.step;
  agree(group_, [&] {
    if (i_am_root()) temporary_ = open_step(target_, state_, plan_);
    fault_point("prepared", group_.rank());
    return std::string();
  });
}

SaveStep::~SaveStep() {
  cancelled_.store(true, std::memory_order_relaxed);
}

double SaveStep::seconds() const {
  return seconds_since(start_);
}

void SaveStep::write(const Outcome& snapshot, std::vector<Tensor> boxes, double snapshot_seconds) {
  const auto work = [this, rank = group_.rank(), boxes = std::move(boxes), snapshot_seconds] {
    const Clock::time_point begin = Clock::now();
    ShardReport report = write_shard(temporary_path(target_, state_), rank, plan_, boxes, cancelled_);
    report.snapshot_seconds = snapshot_seconds;
    report.write_seconds = seconds_since(begin);
    fault_point("before_agreement", rank);
    return to_json(report);
  };
  task_ = std::make_unique<BackgroundTask>([snapshot, work, rank = group_.rank()] {
    return snapshot.exit_code != 0 ? snapshot : attempt(rank, work);
  });
}

bool SaveStep::advance() {
  for (const auto& work : works_) work->wait();
  works_.clear();
  switch (stage_) {
    case Stage::kShards:
    case Stage::kCommit:
      if (!flags_.defined() || !all_are_ready())
        begin_flags();
      else if (stage_ == Stage::kShards)
        begin_reports();
      else
        begin_verdict();
      break;
    case Stage::kReports:
      begin_commit();
      break;
    case Stage::kVerdict:
      end();
      break;
    case Stage::kOver:
      break;
  }
  return stage_ == Stage::kOver;
}

void SaveStep::rest() const {
  if (task_) task_->wait_for(kRest);
}

bool SaveStep::give_up() {
  cancelled_.store(true, std::memory_order_relaxed);
  if (task_) task_->wait_for(kPatience);
  return !task_ || task_->done();
}

void SaveStep::begin_flags() {
  if (task_ && task_->done()) {
    const std::string packed = pack(task_->take());
    task_.reset();
    message_ = make_bytes(allocator_, static_cast<int64_t>(packed.size()));
    std::memcpy(message_.raw(), packed.data(), packed.size());
  }
  const bool is_late = i_am_root() && seconds() > static_cast<double>(target_.config.save_timeout_seconds);
  const Flags mine{task_ ? kNotYet : message_.num_bytes(), is_late};
  const auto make = [&](int64_t count) {
    return Tensor::allocate(allocator_, {count}, DType::kInt64, MemoryCategory::kWorkspace);
  };
  const Tensor given = make(kNumFlags);
  std::memcpy(given.raw(), &mine, sizeof(mine));
  flags_ = make(kNumFlags * group_.size());
  works_.push_back(group_.all_gather_async(given, flags_));
}

bool SaveStep::all_are_ready() const {
  const int64_t* flags = flags_.data<int64_t>();
  std::vector<std::string> late;
  for (int rank = 0; rank < group_.size(); ++rank)
    if (flags[rank * kNumFlags] == kNotYet)
      late.push_back(fmt::format("rank {} on {}", rank, target_.hosts[static_cast<size_t>(rank)]));
  if (late.empty()) return true;
  if (flags[1] != 0)
    throw CommError(
        fmt::format("the checkpoint of step {} is not saved after {} s: {} {} still {}. A disk hangs or is "
                    "very slow; a healthy one needs a larger checkpoint.save_timeout_seconds",
                    state_.step, target_.config.save_timeout_seconds, fmt::join(late, ", "),
                    late.size() == 1 ? "is" : "are",
                    stage_ == Stage::kShards ? "writing a shard" : "committing"),
        ExitCode::kWatchdog);
  return false;
}

void SaveStep::begin_reports() {
  stage_ = Stage::kReports;
  if (!i_am_root()) {
    works_.push_back(group_.send_async(message_, 0, kReportTag));
    return;
  }
  reports_.push_back(message_);
  for (int rank = 1; rank < group_.size(); ++rank) {
    reports_.push_back(make_bytes(allocator_, flags_.data<int64_t>()[rank * kNumFlags]));
    works_.push_back(group_.receive_async(reports_.back(), rank, kReportTag));
  }
}

void SaveStep::begin_commit() {
  stage_ = Stage::kCommit;
  flags_ = message_ = Tensor();
  if (!i_am_root()) return;
  task_ = std::make_unique<BackgroundTask>([this] {
    std::vector<Outcome> outcomes;
    for (const Tensor& report : reports_) outcomes.push_back(unpack(text_of(report)));
    return commit(outcomes);
  });
}

void SaveStep::begin_verdict() {
  stage_ = Stage::kVerdict;
  if (!i_am_root()) message_ = make_bytes(allocator_, *flags_.data<int64_t>());
  works_.push_back(group_.broadcast_async(message_, 0));
}

void SaveStep::end() {
  stage_ = Stage::kOver;
  const Outcome verdict = unpack(text_of(message_));
  if (verdict.exit_code != 0)
    report_.error = CheckpointError(verdict.message, static_cast<ExitCode>(verdict.exit_code));
}

Outcome SaveStep::commit(const std::vector<Outcome>& outcomes) {
  Outcome verdict = failure_of(outcomes);
  if (verdict.exit_code == 0) verdict = attempt(0, [&] { return commit_step(outcomes), std::string(); });
  temporary_.reset();  // what was not committed is removed
  if (verdict.exit_code != 0) return verdict;
  write_hint(target_.directory, state_.step);
  remove_old_steps(target_.directory, target_.config, state_);
  return verdict;
}

void SaveStep::commit_step(const std::vector<Outcome>& outcomes) {
  std::vector<ShardReport> reports;
  for (const Outcome& outcome : outcomes) reports.push_back(parse_shard_report(outcome.payload));
  Manifest manifest = assemble_manifest(state_, plan_, reports);
  manifest.files[kIndexName] = write_index(temporary_->path(), manifest);
  fault_point("index", 0);
  io::write_new_file(temporary_->path() + "/" + kManifestName, to_json(manifest));
  fault_point("manifest", 0);
  set_aside_later_steps(target_.directory, target_.history_step, state_.run_id);
  temporary_->commit(target_.directory + "/" + step_directory_name(state_.step));
  fault_point("rename", 0);

  report_.commit_seconds = seconds();
  report_.tensor_bytes = plan_.num_bytes;
  report_.replica_bytes = bytes_of_replicas(plan_);
  for (const auto& [name, file] : manifest.files) report_.file_bytes += file.size;
  for (const ShardReport& report : reports) {
    report_.snapshot_seconds = std::max(report_.snapshot_seconds, report.snapshot_seconds);
    report_.write_seconds = std::max(report_.write_seconds, report.write_seconds);
  }
}

}  // namespace trireme::checkpoint
