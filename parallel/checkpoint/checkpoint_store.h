#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/optim/optimizer.h"
#include "parallel/checkpoint/checkpoint_config.h"
#include "parallel/checkpoint/save_report.h"
#include "parallel/checkpoint/training_state.h"
#include "parallel/comm/communicator.h"

namespace trireme {

/// Saves and restores a run's `checkpoints` directory (README.md of this folder: format, protocol, faults).
/// Every call is collective over `world`; what fails on one rank fails on all of them, with the rank, host,
/// file and cause in the message. Destroying it while a save is under way gives that save up. A rank's boxes
/// are the pieces of its parameters, and of optimizer states and distinct masters those that its store owns:
/// any layout, and what one layout saved any other restores.
class CheckpointStore {
 public:
  /// Creates `directory` where it is missing, takes its lock (held until destruction) and removes what dead
  /// saves left. Errors: exit 73 where it cannot be created or written, or another job holds the
  /// lock (named). `run_id` as in TrainingState; the same on every rank. `model`: the parameters of the whole
  /// model in forward order, the order of the manifest; only names are read, and those missing come last.
  CheckpointStore(std::string directory, Communicator& world, const CheckpointConfig& config,
                  const std::string& run_id, const std::vector<Parameter*>& model = {});
  ~CheckpointStore();
  CheckpointStore(const CheckpointStore&) = delete;
  CheckpointStore& operator=(const CheckpointStore&) = delete;

  /// Plans saves and, where they are made in the background, takes the memory for their snapshots. Called by
  /// the first save or restore where it was not called before. Errors: CommError (exit 76) where ranks mean
  /// another model; CheckpointError (exit 71) where a host has too little memory, with the GiB needed.
  void prepare(Context& context, const ParameterStore& parameters,
               const std::vector<OptimizerState>& optimizer);

  /// Writes and commits step-<state.step>; then removes old steps by the rules of checkpoint.keep_*. Nothing
  /// is returned, and nothing written, where this store has saved or restored that step already. Steps that
  /// another history left (later than the one restored) are set aside as abandoned-step-*, never deleted. No
  /// save may be under way. Errors: CommError, exit 76 naming tensor and ranks where replicas differ, exit
  /// 124 naming the ranks that are late; otherwise CheckpointError, and nothing half-written is visible and
  /// training may go on.
  std::optional<SaveReport> save(Context& context, const TrainingState& state,
                                 const ParameterStore& parameters,
                                 const std::vector<OptimizerState>& optimizer);

  /// The same in the background: returns when parameters and optimizer states are copied and may change.
  /// False: the save before it is under way, so this one is skipped and counted. Throws what is found before
  /// the copy; what fails later is in the report.
  bool start_save(Context& context, const TrainingState& state, const ParameterStore& parameters,
                  const std::vector<OptimizerState>& optimizer);
  /// Moves the save under way along, without waiting; its report in the call in which it ends, which is the
  /// same on every rank. To be called once a step while is_saving().
  std::optional<SaveReport> poll();
  /// The same, but waits for the commit where all shards are written: before a save that may follow.
  std::optional<SaveReport> poll_to_commit();
  /// Waits for the save under way, if there is one.
  std::optional<SaveReport> wait();
  /// The same on every rank.
  bool is_saving() const;

  /// Restores the newest sound step into `parameters` (masters and values) and `optimizer`, bit for bit, and
  /// bumps the version of every parameter; nothing where there is no step. Damaged ones are passed over with
  /// a warning each. `expected` is this run's state (step, tokens, samples and run ids are ignored). Errors:
  /// CheckpointError (exit 65) where the step is of another architecture, tokenizer, precision, optimizer or
  /// data set, lacks tensors or has others (all listed), or where every step is damaged.
  std::optional<TrainingState> restore_newest(Context& context, const TrainingState& expected,
                                              ParameterStore& parameters,
                                              std::vector<OptimizerState>& optimizer);

  /// The same from one step directory, anywhere; damage is an error too.
  TrainingState restore(Context& context, const std::string& step_directory, const TrainingState& expected,
                        ParameterStore& parameters, std::vector<OptimizerState>& optimizer);

  const std::string& directory() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The small state of a committed step; reads the manifest only. Not collective. CheckpointError (exit 65)
/// where the step is missing or damaged.
TrainingState read_training_state(const std::string& step_directory);

/// The newest step directory whose manifest parses and whose files have their sizes, or nothing. Reads only.
std::optional<std::string> newest_checkpoint(const std::string& directory);

}  // namespace trireme
