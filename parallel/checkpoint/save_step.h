#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/io/directory.h"
#include "parallel/checkpoint/background_task.h"
#include "parallel/checkpoint/checkpoint_config.h"
#include "parallel/checkpoint/save_plan.h"
#include "parallel/checkpoint/save_report.h"
#include "parallel/checkpoint/shard_writer.h"
#include "parallel/checkpoint/training_state.h"
#include "parallel/comm/communicator.h"

namespace trireme::checkpoint {

/// Where a step goes, and what stays beside it.
struct SaveTarget {
  std::string directory;           ///< `checkpoints` of the run
  int64_t history_step = -1;       ///< later steps are of another history and are set aside at the commit
  CheckpointConfig config;         ///< retention and deadline
  std::vector<std::string> hosts;  ///< by rank, for messages
};

/// One save on one rank, from its directory to its commit. Every rank of the group makes one and makes the
/// same calls in the same order, from the thread that owns the group; disks are met in the background only.
/// Unless it was advanced to its end, destroying it gives the save up: the background is told to end, and
/// rank 0 removes what is written.
class SaveStep {
 public:
  /// Counts the room and makes the temporary directory. Collective. Throws what agree() throws: then nothing
  /// was begun. Group and plan must outlive the save.
  SaveStep(Communicator& group, const SavePlan& plan, SaveTarget target, const TrainingState& state);
  ~SaveStep();
  SaveStep(const SaveStep&) = delete;
  SaveStep& operator=(const SaveStep&) = delete;

  /// Begins to write `boxes`, this rank's part in the plan's order, which must stay as they are until the
  /// save is over. `snapshot`: how copying them ended; its failure is this rank's.
  void write(const Outcome& snapshot, std::vector<Tensor> boxes, double snapshot_seconds);

  /// Moves the save along; true when it is over. Every rank, the same number of times: what a call begins
  /// (one small collective) the next one ends, so whoever comes once a step waits for nobody. CommError (exit
  /// 124), on every rank in the same call, naming the late ones when the save takes longer than
  /// config.save_timeout_seconds.
  bool advance();
  /// Every shard is there, or failed: what is left is short. The same on every rank.
  bool is_written() const { return stage_ > Stage::kShards; }
  /// Sleeps for a moment, while this rank's background works.
  void rest() const;
  /// Tells the background to end, and waits a moment for it. False: a disk holds it, so that destroying this
  /// would wait as long.
  bool give_up();

  /// After the end.
  const SaveReport& report() const { return report_; }

 private:
  enum class Stage { kShards, kReports, kCommit, kVerdict, kOver };

  bool i_am_root() const { return group_.rank() == 0; }
  double seconds() const;  ///< since the start

  void begin_flags();
  bool all_are_ready() const;
  void begin_reports();
  void begin_commit();
  void begin_verdict();
  void end();

  Outcome commit(const std::vector<Outcome>& outcomes);  ///< in the background of rank 0
  void commit_step(const std::vector<Outcome>& outcomes);

  Communicator& group_;
  const SavePlan& plan_;
  SaveTarget target_;
  TrainingState state_;
  std::chrono::steady_clock::time_point start_;
  Stage stage_ = Stage::kShards;
  SaveReport report_;
  std::unique_ptr<io::TemporaryDirectory> temporary_;  ///< of rank 0; removes itself unless committed
  Allocator allocator_;                                ///< of messages
  Tensor flags_;                                       ///< what begin_flags gathers; undefined: not begun
  Tensor message_;                                     ///< what this rank's background says
  std::vector<Tensor> reports_;                        ///< at rank 0, by rank
  std::atomic<bool> cancelled_ = false;
  std::unique_ptr<BackgroundTask> task_;      ///< ends before what it uses
  std::vector<std::unique_ptr<Work>> works_;  ///< begun by the last call of advance()
};

}  // namespace trireme::checkpoint
