#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace trireme {

/// The small state of a run: all that a checkpoint holds beside tensors. The `*_json` members are JSON
/// objects; key order and spaces do not matter. Random numbers and the data order are pure functions of
/// (seed, step, samples), so no random state is saved.
struct TrainingState {
  int64_t step = 0;                      ///< optimizer steps done
  int64_t tokens = 0;                    ///< consumed so far
  int64_t samples = 0;                   ///< consumed so far: the data position
  std::string run_id;                    ///< of this process group's run: letters, digits, '.', '_' and '-'
  std::string parent_run_id;             ///< of the run it was restored from; empty: none
  std::string precision;                 ///< "fp32", "bf16", "fp16", "fp64": must be equal at restore
  std::string config_json = "{}";        ///< the whole resolved configuration
  std::string architecture_json = "{}";  ///< the resolved section `model`: must be equal at restore
  std::string tokenizer_hash;            ///< must be equal at restore; empty: no tokenizer
  /// Fingerprints, weights and shuffle seed: must be equal at restore unless checkpoint.allow_data_change.
  std::string dataset_json = "{}";
  /// Section `optimizer`: the key `optimizer` (its kind) must be equal at restore, others are told.
  std::string optimizer_json = "{}";
  std::string schedule_json = "{}";  ///< what decides later: `validation_loss`, `early_stopping` (see below)
  std::string loss_scaler_json = "{}";  ///< loss scale where there is one
  std::string mesh_json = "{}";  ///< the layout at save: sizes of the axes and the like; free to differ
};

/// The latest validation loss (nats a token) known when the state was saved, by which checkpoint.keep_best
/// chooses; a member of `schedule_json`.
std::optional<double> validation_loss_of(const TrainingState& state);
void set_validation_loss(TrainingState& state, double loss);

/// How far early stopping has come; the member `early_stopping` of `schedule_json`. Checkpoints of the best
/// step are kept.
struct EarlyStoppingProgress {
  std::string metric;
  double best = 0;
  int64_t best_step = 0;                ///< 0: none yet
  int64_t num_without_improvement = 0;  ///< evaluations in a row, up to now

  bool operator==(const EarlyStoppingProgress&) const = default;
};
/// Nothing where the state has none. CheckpointError (exit 65) where it is damaged.
std::optional<EarlyStoppingProgress> early_stopping_of(const TrainingState& state);
void set_early_stopping(TrainingState& state, const EarlyStoppingProgress& progress);

}  // namespace trireme
