#include "launcher/config/idle_keys.h"

#include "core/base/idle_fields.h"
#include "core/models/registry.h"

namespace trireme {
namespace {

using Run = const RunConfig&;

bool has_validation(Run run) {
  return !run.data.valid_data_path.empty() || run.data.validation_fraction > 0;
}

bool decays_as(Run run, LrDecayStyle style) {
  return run.optimizer.lr_decay_style == style;
}

bool is_adam(Run run) {
  return run.optimizer.optimizer == OptimizerKind::kAdamW || run.optimizer.optimizer == OptimizerKind::kAdam;
}

const IdleFields<RunConfig> kTraining[] = {
    {{"recompute_num_layers"},
     [](Run run) { return run.training.recompute_granularity == RecomputeGranularity::kNone; },
     "with recompute_granularity none"},
    {{"eval_interval", "eval_iters", "eval_ema"},
     [](Run run) { return !has_validation(run); },
     "without validation data: set data.validation_fraction or data.valid_data_path"},
    {{"eval_ema"}, [](Run run) { return run.optimizer.ema_decay == 0; }, "without optimizer.ema_decay"},
    {{"early_stopping_patience"},
     [](Run run) { return run.training.eval_interval == 0; },
     "without training.eval_interval"},
    {{"early_stopping_min_delta", "early_stopping_metric"},
     [](Run run) { return run.training.early_stopping_patience == 0; },
     "without early_stopping_patience"},
    {{"timeline_step"},
     [](Run run) { return run.training.timeline_step > run.training.train_iters; },
     "beyond train_iters"},
    {{"initialize_only"},
     [](Run run) { return run.training.initialize_from.empty(); },
     "without training.initialize_from"},
    {{"peak_tflops"},
     [](Run run) { return family_named(run.model.family).needs(run.model).objective != Objective::kCausal; },
     "but for a causal language model: MFU is known of windows of text only"},
};

const IdleFields<RunConfig> kOptimizer[] = {
    {{"lr", "min_lr", "lr_decay_iters"},
     [](Run run) { return decays_as(run, LrDecayStyle::kNoam); },
     "with lr_decay_style noam"},
    {{"noam_factor", "noam_model_size"},
     [](Run run) { return !decays_as(run, LrDecayStyle::kNoam); },
     "without lr_decay_style noam"},
    {{"min_lr", "lr_decay_iters"},
     [](Run run) { return decays_as(run, LrDecayStyle::kConstant); },
     "with lr_decay_style constant"},
    {{"lr_decay_iters"},
     [](Run run) { return decays_as(run, LrDecayStyle::kInverseSquareRoot); },
     "with lr_decay_style inverse-square-root"},
    {{"lr_wsd_decay_iters"},
     [](Run run) { return !decays_as(run, LrDecayStyle::kWsd); },
     "without lr_decay_style WSD"},
    {{"adam_beta1", "adam_beta2", "adam_eps", "adam_bias_correction"},
     [](Run run) { return !is_adam(run); },
     "unless optimizer is adamw or adam"},
    {{"adagrad_eps"},
     [](Run run) { return run.optimizer.optimizer != OptimizerKind::kAdagrad; },
     "unless optimizer is adagrad"},
    {{"rmsprop_alpha", "rmsprop_eps", "rmsprop_momentum", "rmsprop_centered"},
     [](Run run) { return run.optimizer.optimizer != OptimizerKind::kRmsProp; },
     "unless optimizer is rmsprop"},
    {{"sgd_momentum"},
     [](Run run) { return run.optimizer.optimizer != OptimizerKind::kSgd; },
     "unless optimizer is sgd"},
};

const IdleFields<RunConfig> kPrecision[] = {
    {{"loss_scale", "initial_loss_scale", "min_loss_scale", "loss_scale_window", "hysteresis"},
     [](Run run) { return run.precision.dtype != Precision::kFp16; },
     "unless precision.dtype is fp16"},
    {{"initial_loss_scale", "min_loss_scale", "loss_scale_window", "hysteresis"},
     [](Run run) { return run.precision.dtype == Precision::kFp16 && run.precision.loss_scale > 0; },
     "with loss_scale, which is constant"},
};

const IdleFields<RunConfig> kCheckpoint[] = {
    {{"max_failed_saves"},
     [](Run run) { return run.checkpoint.on_save_error == OnSaveError::kStop; },
     "with on_save_error stop"},
    {{"keep_every", "keep_best"},
     [](Run run) { return run.checkpoint.keep_last == 0; },
     "with keep_last 0, which keeps all"},
    {{"keep_best"},
     [](Run run) { return !has_validation(run); },
     "without validation data: set data.validation_fraction or data.valid_data_path"},
};

template <class Section>
void check_section(const char* name, Section RunConfig::*section,
                   std::span<const IdleFields<RunConfig>> table, Run run, ConfigProblems& problems) {
  for (const std::string& error : idle_field_errors(name, run.*section, Section(), run, table))
    problems.add("{}", error);
}

}  // namespace

void check_idle_keys(const RunConfig& config, ConfigProblems& problems) {
  check_section("training", &RunConfig::training, kTraining, config, problems);
  check_section("optimizer", &RunConfig::optimizer, kOptimizer, config, problems);
  check_section("precision", &RunConfig::precision, kPrecision, config, problems);
  check_section("checkpoint", &RunConfig::checkpoint, kCheckpoint, config, problems);
}

}  // namespace trireme
