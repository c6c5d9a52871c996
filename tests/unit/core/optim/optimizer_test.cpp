#include "core/optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/nn/parameters.h"
#include "core/optim/clip.h"
#include "tests/support/gradient_check.h"
#include "tests/support/values.h"

namespace trireme::testing {
namespace {

constexpr OptimizerKind kAllKinds[] = {OptimizerKind::kAdamW, OptimizerKind::kAdam, OptimizerKind::kAdagrad,
                                       OptimizerKind::kRmsProp, OptimizerKind::kSgd};

/// One matrix with decay, one vector without.
class Optimizers : public ::testing::Test {
 protected:
  ParameterStore& store(Precision precision) {
    PrecisionConfig precision_config;
    precision_config.dtype = precision;
    store_ =
        std::make_unique<ParameterStore>(context_, ParameterLayout({&matrix_, &vector_}, precision_config));
    store_->initialize(context_, 1);
    return *store_;
  }
  void draw_gradients(uint64_t seed) {
    fill_normal(matrix_.gradient, seed);
    fill_normal(vector_.gradient, seed + 1);
  }
  Context context_;
  Parameter matrix_ = nn::whole_parameter("matrix", {3, 5}, nn::normal(1.0), true);
  Parameter vector_ = nn::whole_parameter("vector", {7}, nn::ones(), false);
  std::unique_ptr<ParameterStore> store_;
};

TEST_F(Optimizers, AdamWFollowsItsFormulaInBothDecayGroups) {
  ParameterStore& store = this->store(Precision::kFp64);
  OptimizerConfig config;
  config.weight_decay = 0.3;
  const auto optimizer = make_optimizer(context_, config, store);
  for (Parameter* parameter : {&matrix_, &vector_}) {
    const double decay = parameter == &matrix_ ? 0.3 : 0.0;
    const auto index = static_cast<size_t>(parameter == &matrix_ ? 1 : 0);  // flat order is reversed
    EXPECT_EQ(store.parameters()[index], parameter);
    store.initialize(context_, 1);
    double w = element(parameter->master, 2), m = 0, v = 0;
    for (OptimizerState& state : optimizer->state()) fill_normal(state.flat, 1, 0.0);
    for (int64_t step = 1; step <= 3; ++step) {
      draw_gradients(static_cast<uint64_t>(10 * step));
      const double g = element(parameter->gradient, 2) * 0.5;
      w *= 1 - 0.01 * decay;
      m = 0.9 * m + 0.1 * g;
      v = 0.95 * v + 0.05 * g * g;
      const double t = static_cast<double>(step);
      w -= 0.01 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.95, t))) + 1e-8);
      optimizer->step(context_, store, 0.01, step, 0.5);
      EXPECT_NEAR(element(parameter->master, 2), w, 1e-14);
      EXPECT_NEAR(element(store.view(optimizer->state()[0].flat, index), 2), m, 1e-15);
      EXPECT_NEAR(element(store.view(optimizer->state()[1].flat, index), 2), v, 1e-15);
    }
  }
}

TEST_F(Optimizers, SgdFollowsItsFormulaWithMomentum) {
  ParameterStore& store = this->store(Precision::kFp64);
  OptimizerConfig config;
  config.optimizer = OptimizerKind::kSgd;
  config.weight_decay = 0.3;
  config.sgd_momentum = 0.8;
  const auto optimizer = make_optimizer(context_, config, store);
  ASSERT_EQ(optimizer->state().size(), 1u);
  EXPECT_EQ(optimizer->state()[0].name, "momentum_buffer");
  double w = element(matrix_.master, 4), buffer = 0;
  for (int64_t step = 1; step <= 3; ++step) {
    draw_gradients(static_cast<uint64_t>(10 * step));
    const double g = element(matrix_.gradient, 4) * 0.5 + 0.3 * w;
    buffer = step == 1 ? g : 0.8 * buffer + g;
    w -= 0.01 * buffer;
    optimizer->step(context_, store, 0.01, step, 0.5);
    EXPECT_NEAR(element(matrix_.master, 4), w, 1e-14);
  }
}

TEST_F(Optimizers, SgdWithoutMomentumKeepsNoState) {
  OptimizerConfig config;
  config.optimizer = OptimizerKind::kSgd;
  config.sgd_momentum = 0;
  ParameterStore& store = this->store(Precision::kFp32);
  const auto optimizer = make_optimizer(context_, config, store);
  EXPECT_TRUE(optimizer->state().empty());
  draw_gradients(1);
  const double before = element(vector_.master, 0);
  optimizer->step(context_, store, 0.1, 1, 1.0);
  EXPECT_NEAR(element(vector_.master, 0), before - 0.1 * element(vector_.gradient, 0), 1e-6);
}

TEST_F(Optimizers, WriteTheRoundedCopyInBf16AndBumpVersions) {
  for (const OptimizerKind kind : kAllKinds) {
    ParameterStore& store = this->store(Precision::kBf16);
    OptimizerConfig config;
    config.optimizer = kind;
    const auto optimizer = make_optimizer(context_, config, store);
    draw_gradients(1);
    const uint64_t version = matrix_.version;
    optimizer->step(context_, store, 0.01, 1, 1.0);
    EXPECT_EQ(matrix_.version, version + 1);
    for (int64_t i = 0; i < 15; ++i)
      EXPECT_EQ(element(matrix_.value, i),
                static_cast<float>(bfloat16(static_cast<float>(element(matrix_.master, i)))));
  }
}

TEST_F(Optimizers, KeepTheStatesThatTheirOptionsNeedUnderTorchsNames) {
  const auto names = [&](OptimizerConfig config) {
    std::vector<std::string> states;
    const auto optimizer = make_optimizer(context_, config, store(Precision::kFp32));
    for (const OptimizerState& state : optimizer->state()) states.push_back(state.name);
    EXPECT_EQ(states, optimizer_state_names(config));
    return states;
  };
  using Names = std::vector<std::string>;
  OptimizerConfig config;
  EXPECT_EQ(names(config), (Names{"exp_avg", "exp_avg_sq"}));
  config.optimizer = OptimizerKind::kAdam;
  EXPECT_EQ(names(config), (Names{"exp_avg", "exp_avg_sq"}));
  config.optimizer = OptimizerKind::kAdagrad;
  EXPECT_EQ(names(config), (Names{"sum"}));
  config.optimizer = OptimizerKind::kRmsProp;
  EXPECT_EQ(names(config), (Names{"square_avg"}));
  config.rmsprop_centered = true;
  EXPECT_EQ(names(config), (Names{"square_avg", "grad_avg"}));
  config.rmsprop_momentum = 0.5;
  EXPECT_EQ(names(config), (Names{"square_avg", "grad_avg", "momentum_buffer"}));
}

TEST_F(Optimizers, LeaveTheGapsBetweenParametersAtZero) {
  ParameterStore& store = this->store(Precision::kBf16);
  for (const OptimizerKind kind : kAllKinds) {
    OptimizerConfig config;
    config.optimizer = kind;
    const auto optimizer = make_optimizer(context_, config, store);
    draw_gradients(1);
    optimizer->step(context_, store, 0.01, 1, 1.0);
    for (int64_t i = 7; i < store.offset(1); ++i) {
      EXPECT_EQ(element(store.masters(), i), 0.0);
      EXPECT_EQ(element(store.values(), i), 0.0);
    }
  }
}

TEST_F(Optimizers, UpdateTheOwnedRangesOnly) {
  for (const OptimizerKind kind : kAllKinds) {
    OptimizerConfig config;
    config.optimizer = kind;
    ParameterStore& whole = this->store(Precision::kBf16);
    const auto reference = make_optimizer(context_, config, whole);
    draw_gradients(1);
    const Tensor before = clone(context_, whole.values());
    reference->step(context_, whole, 0.01, 1, 1.0);
    const std::vector<FlatRange> owned = {{3, 9}, {34, 40}};
    ParameterStore part(context_, whole.layout(), owned, [&](int64_t bytes, MemoryCategory category) {
      return context_.zeros({bytes}, DType::kUInt8, category).storage();
    });
    part.initialize(context_, 1);
    draw_gradients(1);
    const auto optimizer = make_optimizer(context_, config, part);
    optimizer->step(context_, part, 0.01, 1, 1.0);
    EXPECT_EQ(optimizer->state()[0].flat.num_elements(), 12);
    for (int64_t i = 0; i < part.num_elements(); ++i) {
      const bool mine = (i >= 3 && i < 9) || (i >= 34 && i < 40);
      EXPECT_EQ(element(part.values(), i), element(mine ? whole.values() : before, i)) << i;
      if (!mine) continue;
      const int64_t place = i < 9 ? i - 3 : i - 28;
      EXPECT_EQ(element(part.masters(), place), element(whole.masters(), i));
      EXPECT_EQ(element(optimizer->state()[0].flat, place), element(reference->state()[0].flat, i));
    }
  }
}

TEST_F(Optimizers, KeepAMovingAverageThatBeginsWithTheFirstStep) {
  for (const Precision precision : {Precision::kFp64, Precision::kFp32, Precision::kBf16}) {
    ParameterStore& store = this->store(precision);
    OptimizerConfig config;
    config.ema_decay = 0.75;
    const auto optimizer = make_optimizer(context_, config, store);
    EXPECT_EQ(optimizer->state().back().name, "ema");
    std::vector<double> expected;
    for (int64_t step = 1; step <= 4; ++step) {
      draw_gradients(static_cast<uint64_t>(step));
      optimizer->step(context_, store, 0.1, step, 1.0);
      const std::vector<double> weights = values_of(store.masters());
      if (step == 1) expected = weights;
      for (size_t i = 0; i < weights.size(); ++i) expected[i] = 0.75 * expected[i] + 0.25 * weights[i];
      expect_near(*optimizer->average(), expected, precision == Precision::kFp64 ? 1e-15 : 1e-6);
    }
  }
}

TEST_F(Optimizers, ExchangeTheWeightsWithTheirAverageAndBackBitForBit) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    ParameterStore& store = this->store(precision);
    OptimizerConfig config;
    config.ema_decay = 0.5;
    const auto optimizer = make_optimizer(context_, config, store);
    for (int64_t step = 1; step <= 3; ++step) {
      draw_gradients(static_cast<uint64_t>(step));
      optimizer->step(context_, store, 0.1, step, 1.0);
    }
    const std::vector<double> average = values_of(*optimizer->average()),
                              masters = values_of(store.masters()), values = values_of(store.values());
    const uint64_t version = matrix_.version;
    exchange_average(context_, store, *optimizer->average());
    EXPECT_EQ(matrix_.version, version + 1);  // packed copies are made again
    EXPECT_EQ(values_of(store.masters()), average);
    EXPECT_NE(values_of(store.values()), values);
    expect_near(store.values(), average, precision == Precision::kFp32 ? 0 : 0.02);
    exchange_average(context_, store, *optimizer->average());
    EXPECT_EQ(values_of(store.masters()), masters);
    EXPECT_EQ(values_of(store.values()), values);
    EXPECT_EQ(values_of(*optimizer->average()), average);
  }
}

TEST(Clip, LimitsTheNorm) {
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(clip_factor(4.0, 1.0), 1.0 / (4.0 + 1e-6));
  EXPECT_EQ(clip_factor(4.0, 0.0), 1.0);
}

}  // namespace
}  // namespace trireme::testing
