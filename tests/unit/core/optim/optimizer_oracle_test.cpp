// Ten steps of every optimizer against torch.optim: tests/oracle/make_optimizer_fixtures.py wrote what it
// computes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/io/safetensors.h"
#include "core/nn/parameters.h"
#include "core/ops/elementwise.h"
#include "core/optim/optimizer.h"
#include "tests/support/gradient_check.h"
#include "tests/support/paths.h"

namespace trireme::testing {
namespace {

struct OracleCase {
  const char* name;  ///< in the fixture
  OptimizerConfig config;
};

OptimizerConfig config_of(OptimizerKind kind) {
  OptimizerConfig config;
  config.optimizer = kind;
  config.weight_decay = 0.1;
  return config;
}

std::vector<OracleCase> oracle_cases() {
  OptimizerConfig adam = config_of(OptimizerKind::kAdam);
  adam.adam_beta2 = 0.98;
  adam.adam_eps = 1e-9;
  OptimizerConfig bert = config_of(OptimizerKind::kAdamW);
  bert.adam_bias_correction = false;
  bert.adam_beta2 = 0.999;
  bert.adam_eps = 1e-6;
  OptimizerConfig momentum = config_of(OptimizerKind::kRmsProp);
  momentum.rmsprop_alpha = 0.9;
  momentum.rmsprop_momentum = 0.8;
  OptimizerConfig both = momentum;
  both.rmsprop_eps = 1e-4;
  both.rmsprop_centered = true;
  OptimizerConfig centered = both;
  centered.rmsprop_momentum = 0;
  return {{"adamw", config_of(OptimizerKind::kAdamW)},
          {"adam", adam},
          {"bert", bert},
          {"sgd", config_of(OptimizerKind::kSgd)},
          {"adagrad", config_of(OptimizerKind::kAdagrad)},
          {"rmsprop", config_of(OptimizerKind::kRmsProp)},
          {"rmsprop_momentum", momentum},
          {"rmsprop_centered", centered},
          {"rmsprop_centered_momentum", both}};
}

class OptimizerOracle : public ::testing::TestWithParam<Precision> {
 protected:
  Tensor tensor(const std::string& name) { return file_.read(context_, name, MemoryCategory::kWorkspace); }

  void begin(ParameterStore& store) {
    store.initialize(context_, 1);
    for (Parameter* parameter : {&matrix_, &vector_})
      ops::cast(context_, tensor("initial/" + parameter->name), parameter->master);
  }

  void read_gradients(int64_t step) {
    for (Parameter* parameter : {&matrix_, &vector_})
      ops::cast(context_,
                tensor("gradient/" + parameter->name).slice(0, step - 1, 1).reshape(parameter->shape),
                parameter->gradient);
  }

  /// max|a - b| / max|b| of the weights.
  double error_after(const std::string& prefix) {
    double worst = 0;
    for (const Parameter* parameter : {&matrix_, &vector_}) {
      const Tensor expected = tensor(prefix + parameter->name);
      double error = 0, largest = 0;
      for (int64_t i = 0; i < expected.num_elements(); ++i) {
        error = std::fmax(error, std::abs(element(parameter->master, i) - element(expected, i)));
        largest = std::fmax(largest, std::abs(element(expected, i)));
      }
      worst = std::fmax(worst, error / largest);
    }
    return worst;
  }

  Context context_;
  SafetensorsFile file_{test_folder() + "/oracle/optimizers.safetensors"};
  Parameter matrix_ = nn::whole_parameter("matrix", {5, 7}, nn::ones(), true);
  Parameter vector_ = nn::whole_parameter("vector", {6}, nn::ones(), false);
};

TEST_P(OptimizerOracle, EveryOptimizerGivesTheWeightsOfTorchAfterOneAndTenSteps) {
  const bool exact = GetParam() == Precision::kFp64;
  PrecisionConfig precision;
  precision.dtype = GetParam();
  for (const OracleCase& each : oracle_cases()) {
    ParameterStore store(context_, ParameterLayout({&matrix_, &vector_}, precision));
    begin(store);
    const auto optimizer = make_optimizer(context_, each.config, store);
    double errors[2] = {};
    for (int64_t step = 1; step <= 10; ++step) {
      read_gradients(step);
      optimizer->step(context_, store, 0.05, step, 1.0);
      const std::string prefix =
          fmt::format("{}/{}/after_{}/", each.name, exact ? "float64" : "float32", step);
      if (step == 1 || step == 10) errors[step / 10] = error_after(prefix);
    }
    std::printf("%s: after 1 step %.1e, after 10 %.1e\n", each.name, errors[0], errors[1]);
    EXPECT_LE(errors[0], exact ? 1e-14 : 1e-6) << each.name;
    EXPECT_LE(errors[1], exact ? 1e-14 : 1e-6) << each.name;
  }
}

TEST_P(OptimizerOracle, TheMovingAverageIsTorchsAveragedModel) {
  const bool exact = GetParam() == Precision::kFp64;
  PrecisionConfig precision;
  precision.dtype = GetParam();
  ParameterStore store(context_, ParameterLayout({&matrix_, &vector_}, precision));
  OptimizerConfig config = config_of(OptimizerKind::kAdamW);
  config.ema_decay = 0.8;
  begin(store);
  const auto optimizer = make_optimizer(context_, config, store);
  for (int64_t step = 1; step <= 10; ++step) {
    read_gradients(step);
    optimizer->step(context_, store, 0.05, step, 1.0);
    if (step != 1 && step != 10) continue;
    exchange_average(context_, store, *optimizer->average());
    EXPECT_LE(error_after(fmt::format("adamw/{}/after_{}/ema/", exact ? "float64" : "float32", step)),
              exact ? 1e-14 : 1e-6);
    exchange_average(context_, store, *optimizer->average());
  }
}

INSTANTIATE_TEST_SUITE_P(Types, OptimizerOracle, ::testing::Values(Precision::kFp64, Precision::kFp32),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace trireme::testing
