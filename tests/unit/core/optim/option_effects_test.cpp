// Every option of section `optimizer` that decides an update or its learning rate does something.
#include <gtest/gtest.h>

#include <set>

#include "core/base/field_texts.h"
#include "core/nn/parameters.h"
#include "core/optim/learning_rate.h"
#include "core/optim/optimizer.h"
#include "tests/support/field_settings.h"
#include "tests/support/gradient_check.h"

namespace trireme::testing {
namespace {

/// `option` set to `other` beside `companions`.
struct Row {
  std::string option, other;
  Settings companions = {};
};

std::vector<Row> rows() {
  const Settings sgd = {{"optimizer", "sgd"}}, adagrad = {{"optimizer", "adagrad"}},
                 rmsprop = {{"optimizer", "rmsprop"}},
                 noam = {{"lr_decay_style", "noam"}, {"lr_warmup_iters", "2"}, {"noam_model_size", "64"}};
  return {{"optimizer", "adam"},
          {"optimizer", "adagrad"},
          {"optimizer", "rmsprop"},
          {"optimizer", "sgd"},
          {"lr", "0.5"},
          {"min_lr", "1e-05"},
          {"lr_decay_style", "constant"},
          {"lr_decay_style", "linear"},
          {"lr_decay_style", "inverse-square-root", {{"lr_warmup_iters", "2"}}},
          {"lr_decay_style", "WSD", {{"lr_wsd_decay_iters", "2"}}},
          {"lr_decay_style", "noam", {{"noam_model_size", "64"}, {"lr_warmup_iters", "2"}}},
          {"lr_warmup_iters", "3"},
          {"lr_decay_iters", "4"},
          {"lr_wsd_decay_iters", "3", {{"lr_decay_style", "WSD"}}},
          {"noam_factor", "2", noam},
          {"noam_model_size", "32", noam},
          {"weight_decay", "0.3"},
          {"weight_decay", "0.3", sgd},
          {"weight_decay", "0.3", adagrad},
          {"weight_decay", "0.3", rmsprop},
          {"adam_beta1", "0.7"},
          {"adam_beta2", "0.7"},
          {"adam_eps", "0.1"},
          {"adam_bias_correction", "false"},
          {"adam_beta1", "0.7", {{"optimizer", "adam"}}},
          {"adagrad_eps", "0.1", adagrad},
          {"rmsprop_alpha", "0.7", rmsprop},
          {"rmsprop_eps", "0.1", rmsprop},
          {"rmsprop_momentum", "0.7", rmsprop},
          {"rmsprop_centered", "true", rmsprop},
          {"sgd_momentum", "0.7", sgd},
          {"ema_decay", "0.7"}};
}

/// Learning rates, weights and averages of five steps.
std::vector<double> train(const Settings& settings) {
  constexpr int64_t kSteps = 5;
  const OptimizerConfig config = with_settings(OptimizerConfig(), settings);
  Context context;
  PrecisionConfig precision;
  precision.dtype = Precision::kFp64;
  Parameter matrix = nn::whole_parameter("matrix", {3, 4}, nn::normal(1.0), true);
  ParameterStore store(context, ParameterLayout({&matrix}, precision));
  store.initialize(context, 1);
  const auto optimizer = make_optimizer(context, config, store);
  std::vector<double> seen;
  for (int64_t step = 1; step <= kSteps; ++step) {
    seen.push_back(learning_rate(config, kSteps, step));
    for (int64_t i = 0; i < matrix.gradient.num_elements(); ++i)
      matrix.gradient.data<double>()[i] = 0.1 * static_cast<double>((i * 5 + step * 7) % 11 - 5);
    optimizer->step(context, store, 0.01, step, 1.0);
    for (int64_t i = 0; i < matrix.master.num_elements(); ++i) seen.push_back(element(matrix.master, i));
    if (const Tensor* average = optimizer->average())
      for (int64_t i = 0; i < average->num_elements(); ++i) seen.push_back(element(*average, i));
  }
  return seen;
}

TEST(OptimizerOptions, EachChangesWhatIsLearned) {
  for (const Row& row : rows()) {
    Settings changed = row.companions;
    changed[row.option] = row.other;
    EXPECT_NE(train(changed), train(row.companions)) << row.option << ": " << row.other;
  }
}

TEST(OptimizerOptions, EachAndEveryWordOfItHasARow) {
  // What the training step does with it is tested in parallel/step.
  std::map<std::string, std::set<std::string>> tried = {{"clip_grad", {}}};
  for (const Row& row : rows()) {
    tried[row.option].insert(row.other);
    for (const auto& [name, value] : field_texts(with_settings(OptimizerConfig(), row.companions)))
      if (name == row.option) tried[row.option].insert(value);
  }
  OptimizerConfig config;
  const Settings nothing;
  FieldSetter options(nothing);
  config.fields(options);
  for (const auto& [name, value] : field_texts(config)) {
    EXPECT_TRUE(tried.contains(name)) << "optimizer." << name << " has no row in rows() of "
                                      << "tests/unit/core/optim/option_effects_test.cpp";
    for (const std::string& word : options.words[name])
      EXPECT_TRUE(tried[name].contains(word)) << "optimizer." << name << ": " << word << " has no row";
  }
}

}  // namespace
}  // namespace trireme::testing
