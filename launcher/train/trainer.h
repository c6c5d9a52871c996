#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/base/exit_code.h"
#include "core/data/prefetcher.h"
#include "core/data/sample_source.h"
#include "launcher/config/plan.h"
#include "launcher/train/early_stopping.h"
#include "launcher/train/memory_estimate.h"
#include "launcher/train/rank_placement.h"
#include "launcher/train/step_report.h"
#include "launcher/train/telemetry.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/step/training_rank.h"

namespace trireme {

/// One rank's part of a training run. Every rank of `world` makes one and calls run(); rank 0 prints and
/// writes what the run leaves in training.output_dir (README.md of this folder lists it).
class Trainer {
 public:
  /// Checks the configuration, opens the data, builds the model, and restores the checkpoint that
  /// training.resume asks for: everything that can be wrong is found here. `stop_requested` is asked once a
  /// step whether a signal has arrived at this rank. Collective; throws Error.
  Trainer(RunConfig config, Communicator& world, std::function<bool()> stop_requested);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains to train_iters or until early stopping ends the run (kOk), or to the end of the step in which a
  /// rank was asked to stop: then it saves and returns kPreempted. Collective; throws Error.
  ExitCode run();

  int64_t step() const { return state_.step; }  ///< optimizer steps done, restored ones included
  const ParameterStore& parameters() const { return rank_->store(); }

 private:
  void prepare_context();
  void open_data();
  void build_model();
  void restore();
  void initialize(const TrainingState& fresh);
  void start_data();
  void start_outputs();
  /// Whether operations per token are known: of windows of text every token meets every parameter. Of other
  /// samples some are padding, or meet an encoder, a decoder, a head only.
  bool counts_operations() const { return plan_.needs.objective == Objective::kCausal; }
  void measure_peak();
  void print_start();

  /// Adds one step to the state; true when a rank was asked to stop.
  bool train_one_step();
  void draw_timeline();
  StepReport report_of(const StepResult& result, double lr, double seconds) const;
  /// True: the best evaluation so far, for early stopping.
  bool evaluate_now();
  void exchange_average();
  void save_what_is_due(bool last, bool best);
  /// Begins a save, or makes it where training waits: the process's last one, which must succeed.
  void save(bool last);
  void poll_save();
  /// What follows a save. The last save is tried whatever became of those before it.
  enum class Next { kTraining, kLastSave };
  void conclude(const std::optional<SaveReport>& report, Next next);
  void go_on_without(const SaveReport& failed, Next next);
  /// Throws where the configuration, or a cause other than the disk, says so. The same on every rank.
  void stop_if_saves_must_not_fail(const CheckpointError& error) const;
  bool due(int64_t interval) const;
  void say(const std::string& line) const;  ///< on rank 0

  RunPlan plan_;
  const RunConfig& config_;
  Communicator& world_;
  std::function<bool()> stop_requested_;
  RankPlacement placement_;
  std::string instruction_set_;
  Context context_;
  std::unique_ptr<SampleSource> training_source_;
  std::unique_ptr<SampleSource> validation_source_;  ///< null: no validation data
  std::unique_ptr<TrainingRank> rank_;
  MemoryEstimate memory_;  ///< of a rank, predicted
  std::unique_ptr<CheckpointStore> checkpoints_;
  std::unique_ptr<Prefetcher> prefetcher_;
  std::unique_ptr<Telemetry> telemetry_;  ///< rank 0
  TrainingState state_;
  std::unique_ptr<EarlyStopping> early_stopping_;
  std::string initialized_from_;   ///< step folder; empty: nothing
  int64_t num_steps_ = 0;          ///< of this process
  double total_peak_tflops_ = 0;   ///< of all ranks; 0: unknown
  double checkpoint_seconds_ = 0;  ///< stalled by saves since the last step's report
  int64_t num_failed_saves_ = 0;   ///< in a row
};

}  // namespace trireme
