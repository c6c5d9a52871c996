// Keys that mean nothing beside others are refused when they have another value than usual.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/models/registry.h"
#include "launcher/config/load.h"
#include "launcher/config/plan.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using Settings = std::vector<std::string>;

std::string error_of(const Settings& settings) {
  const char* kRun =
      "model: {vocab_size: 100}\ndata: {source: synthetic, seq_length: 64}\n"
      "training: {output_dir: nowhere}\n";
  try {
    plan_run(parse_run_config(kRun, "run.yaml", settings), 1);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

struct Row {
  Settings settings;  ///< the key and its companions
  const char* error;
};

void expect_refused(const std::vector<Row>& rows) {
  for (const Row& row : rows) EXPECT_THAT(error_of(row.settings), HasSubstr(row.error));
}

TEST(IdleKeys, OfDataAreRefused) {
  const std::string bert = "model.family=bert", translation = "model.family=transformer";
  expect_refused({
      {{"document_mask=true", bert},
       "data.document_mask: given true, expected nothing with samples of their"},
      {{"pad_to_seq_length=true"}, "data.pad_to_seq_length: given true, expected nothing with a causal"},
      {{"pad_to_multiple=2"}, "data.pad_to_multiple: given 2, expected nothing with a causal"},
      {{"pad_to_multiple=2", "pad_to_seq_length=true", bert},
       "data.pad_to_multiple: given 2, expected nothing with pad_to_seq_length"},
      {{"length_bucket=8"}, "data.length_bucket: given 8, expected nothing but for translation and class"},
      {{"length_bucket=8", bert}, "data.length_bucket: given 8, expected nothing but for translation"},
      {{"mask_prob=0.3"}, "data.mask_prob: given 0.3, expected nothing but for BERT's masked language model"},
      {{"mask_prob=0.3", bert, "num_classes=2"},
       "data.mask_prob: given 0.3, expected nothing but for BERT's"},
      {{"max_predictions_per_seq=3"},
       "data.max_predictions_per_seq: given 3, expected nothing but for BERT's"},
      {{"whole_word_mask=true", translation}, "data.whole_word_mask: given true, expected nothing but for"},
      {{"mask_by_attention=true"}, "data.mask_by_attention: given true, expected nothing but for BERT's"},
      {{"short_seq_prob=0.5"}, "data.short_seq_prob: given 0.5, expected nothing but for BERT's"},
      {{"validation_fraction=0.3", "source=indexed", "data_path=[x]", "valid_data_path=[z]"},
       "data.validation_fraction: given 0.3, expected nothing with valid_data_path"},
      {{"target_tokenizer_path=x"},
       "data.target_tokenizer_path: given x, expected nothing but for translation"},
  });
}

TEST(IdleKeys, OfTrainingAreRefused) {
  expect_refused({
      {{"recompute_num_layers=2"}, "training.recompute_num_layers: given 2, expected nothing with recompute"},
      {{"eval_interval=5", "validation_fraction=0"},
       "training.eval_interval: given 5, expected nothing without"},
      {{"eval_iters=5", "validation_fraction=0"},
       "training.eval_iters: given 5, expected nothing without valid"},
      {{"eval_ema=true", "ema_decay=0.9", "validation_fraction=0"},
       "training.eval_ema: given true, expected nothing without validation data"},
      {{"eval_ema=true"}, "training.eval_ema: given true, expected nothing without optimizer.ema_decay"},
      {{"early_stopping_patience=2"}, "expected nothing without training.eval_interval"},
      {{"early_stopping_min_delta=2"}, "expected nothing without early_stopping_patience"},
      {{"early_stopping_metric=x"}, "given x, expected nothing without early_stopping_patience"},
      {{"timeline_step=2000"}, "training.timeline_step: given 2000, expected nothing beyond train_iters"},
      {{"initialize_only=[a.*]"}, "given [a.*], expected nothing without training.initialize_from"},
      {{"peak_tflops=2", "model.family=bert"},
       "training.peak_tflops: given 2, expected nothing but for a causal"},
  });
}

TEST(IdleKeys, OfTheOptimizerAreRefused) {
  const std::string noam = "lr_decay_style=noam", sgd = "optimizer.optimizer=sgd";
  expect_refused({
      {{"optimizer.lr=1", noam}, "optimizer.lr: given 1, expected nothing with lr_decay_style noam"},
      {{"min_lr=1e-4", noam}, "optimizer.min_lr: given 0.0001, expected nothing with lr_decay_style noam"},
      {{"lr_decay_iters=9", noam},
       "optimizer.lr_decay_iters: given 9, expected nothing with lr_decay_style noam"},
      {{"noam_factor=2"}, "optimizer.noam_factor: given 2, expected nothing without lr_decay_style noam"},
      {{"noam_model_size=2"},
       "optimizer.noam_model_size: given 2, expected nothing without lr_decay_style noam"},
      {{"min_lr=1e-4", "lr_decay_style=constant"}, "expected nothing with lr_decay_style constant"},
      {{"lr_decay_iters=9", "lr_decay_style=constant"}, "expected nothing with lr_decay_style constant"},
      {{"lr_decay_iters=9", "lr_decay_style=inverse-square-root"}, "with lr_decay_style inverse-square-root"},
      {{"lr_wsd_decay_iters=9"}, "expected nothing without lr_decay_style WSD"},
      {{"adam_beta1=0.5", sgd},
       "optimizer.adam_beta1: given 0.5, expected nothing unless optimizer is adamw"},
      {{"adam_beta2=0.5", sgd},
       "optimizer.adam_beta2: given 0.5, expected nothing unless optimizer is adamw"},
      {{"adam_eps=0.5", sgd}, "optimizer.adam_eps: given 0.5, expected nothing unless optimizer is adamw"},
      {{"adam_bias_correction=false", sgd},
       "given false, expected nothing unless optimizer is adamw or adam"},
      {{"adagrad_eps=0.5"}, "optimizer.adagrad_eps: given 0.5, expected nothing unless optimizer is adagrad"},
      {{"rmsprop_alpha=0.5"},
       "optimizer.rmsprop_alpha: given 0.5, expected nothing unless optimizer is rmsprop"},
      {{"rmsprop_eps=0.5"}, "optimizer.rmsprop_eps: given 0.5, expected nothing unless optimizer is rmsprop"},
      {{"rmsprop_momentum=0.5"},
       "optimizer.rmsprop_momentum: given 0.5, expected nothing unless optimizer is"},
      {{"rmsprop_centered=true"},
       "optimizer.rmsprop_centered: given true, expected nothing unless optimizer is"},
      {{"sgd_momentum=0.5"}, "optimizer.sgd_momentum: given 0.5, expected nothing unless optimizer is sgd"},
  });
}

TEST(IdleKeys, OfPrecisionAndCheckpointAreRefused) {
  const std::string fp16 = "precision.dtype=fp16";
  expect_refused({
      {{"loss_scale=8"}, "precision.loss_scale: given 8, expected nothing unless precision.dtype is fp16"},
      {{"initial_loss_scale=8", "loss_scale=8", fp16}, "given 8, expected nothing with loss_scale, which is"},
      {{"hysteresis=3", "loss_scale=8", fp16},
       "given 3, expected nothing with loss_scale, which is constant"},
      {{"max_failed_saves=3", "on_save_error=stop"}, "given 3, expected nothing with on_save_error stop"},
      {{"keep_every=3", "keep_last=0"}, "checkpoint.keep_every: given 3, expected nothing with keep_last 0"},
      {{"keep_best=3", "keep_last=0"}, "checkpoint.keep_best: given 3, expected nothing with keep_last 0"},
      {{"keep_best=3", "validation_fraction=0"},
       "checkpoint.keep_best: given 3, expected nothing without valid"},
  });
}

TEST(IdleKeys, AFamilysOwnDefaultsAreNeverRefusedNorWhatARunSaysOfItself) {
  for (const Family& family : families()) {
    const std::string setting = std::string("model.family=") + family.name;
    EXPECT_EQ(error_of({setting}), "no error");
    RunConfig config;
    config.model = family.defaults();
    config.model.vocab_size = 100;
    config.data.source = DataSource::kSynthetic;
    const RunConfig resolved = plan_run(config, 1).config;  // as a run leaves it in its config.yaml
    EXPECT_NO_THROW(plan_run(resolved, 1)) << family.name;
  }
}

}  // namespace
}  // namespace trireme
