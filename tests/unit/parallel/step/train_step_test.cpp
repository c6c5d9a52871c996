#include "parallel/step/training_rank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/test_batch.h"
#include "tests/support/tiny_models.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using comm::run_thread_ranks;
using ::testing::HasSubstr;
using ::testing::Not;

RankOptions tiny_options(int data_ranks) {
  RankOptions options;
  options.model = testing::tiny_gpt2();
  options.precision.dtype = Precision::kFp64;
  options.optimizer.optimizer = OptimizerKind::kSgd;
  options.optimizer.sgd_momentum = 0;
  options.optimizer.weight_decay = 0;
  options.micro_batch_size = 2;
  options.global_batch_size = 2 * data_ranks;
  options.seq_length = 7;
  options.seed = 1;
  return options;
}

/// A tiny model ready to train on one of the ranks of `world`.
struct Training {
  explicit Training(Communicator& world) : Training(world, tiny_options(world.size())) {}
  Training(Communicator& world, const RankOptions& options) : rank(context, world, options) {}

  Batch batch(int64_t first_sample) {
    return testing::random_batch(context, 2, 7, 11, 100 + static_cast<uint64_t>(first_sample), first_sample);
  }
  StepResult run(int64_t number, bool signal = false, double lr = 0.1) {
    int64_t sample = 2 * rank.samples().num_micro_batches() * rank.mesh().data().rank() - 2;
    return rank.step().run(
        number, [&] { return batch(sample += 2); }, lr, signal);
  }
  Parameter& parameter(const std::string& name) {
    for (Parameter* parameter : rank.store().parameters())
      if (parameter->name == name) return *parameter;
    throw std::runtime_error("no parameter " + name);
  }

  Context context;
  TrainingRank rank;
};

TEST(TrainStep, CountsTargetsAndTokensOfTheGlobalBatch) {
  run_thread_ranks(3, [](Communicator& world) {
    Training training(world);
    const StepResult result = training.run(1);
    EXPECT_EQ(result.num_tokens, 3 * 14);
    EXPECT_EQ(result.num_targets[LossTerm::kTokens], 3 * (14 - 2));
    EXPECT_FALSE(result.stop_requested);
    EXPECT_NEAR(result.loss, std::log(11.0), 0.5);
  });
}

TEST(TrainStep, ASignalOnOneRankReachesAll) {
  run_thread_ranks(3, [](Communicator& world) {
    Training training(world);
    EXPECT_TRUE(training.run(1, world.rank() == 1).stop_requested);
    EXPECT_FALSE(training.run(2, false).stop_requested);
  });
}

TEST(TrainStep, ClipsTheGlobalNormAsTorchDoes) {
  run_thread_ranks(2, [](Communicator& world) {
    const double clip = 0.01, lr = 0.5;
    RankOptions options = tiny_options(2);
    options.step.clip_grad = clip;
    Training training(world, options);
    const ParameterStore& store = training.rank.store();
    const double *weights = store.masters().data<double>(), *gradients = store.gradients().data<double>();
    const std::vector<double> before(weights, weights + store.num_elements());
    const StepResult result = training.run(1, false, lr);
    ASSERT_GT(result.grad_norm, clip);
    double sum = 0, moved = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      sum += gradients[i] * gradients[i];
      moved += (before[i] - weights[i]) * (before[i] - weights[i]);
    }
    EXPECT_NEAR(result.grad_norm, std::sqrt(sum), 1e-12);
    EXPECT_NEAR(std::sqrt(moved), lr * result.grad_norm * clip / (result.grad_norm + 1e-6), 1e-12);
  });
}

TEST(TrainStep, RecordsThePhasesOfItsTime) {
  run_thread_ranks(2, [](Communicator& world) {
    Training training(world);
    training.run(1);
    for (const char* phase : {"phase/data", "phase/forward_backward", "phase/reduction", "phase/optimizer"})
      EXPECT_EQ(training.context.trace.entries().count(phase), 1u) << phase;
  });
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Trains a step, poisons the position embedding of world rank `poisoned`, and trains on to the error.
std::string divergence_of(int num_ranks, int poisoned, const RankOptions& options) {
  try {
    run_thread_ranks(num_ranks, [&](Communicator& world) {
      Training training(world, options);
      training.run(1);
      if (world.rank() == poisoned)
        training.parameter("embedding.position.weight").value.data<double>()[0] = kNan;
      const Tensor& values = training.rank.store().values();
      const std::vector<double> before(values.data<double>() + 1, values.data<double>() + 8);
      try {
        training.run(7);
      } catch (const Error&) {
        EXPECT_EQ(before, std::vector<double>(values.data<double>() + 1, values.data<double>() + 8));
        throw;
      }
    });
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kDiverged) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "went on";
  return "";
}

TEST(TrainStep, DivergenceNamesParameterAndRankAndUpdatesNothing) {
  const std::string error = divergence_of(2, 1, tiny_options(2));
  EXPECT_THAT(error, HasSubstr("training diverged at step 7"));
  EXPECT_THAT(error, HasSubstr("rank 1, micro-batch 0: loss sum nan, first non-finite gradient "));
  EXPECT_THAT(error, Not(HasSubstr("rank 0, micro-batch")));
}

TEST(TrainStep, DivergenceInAPipelineNamesEveryRankThatSeesIt) {
  // Ranks 0 and 2 are the stages of one replica, 1 and 3 of the other.
  RankOptions options = tiny_options(2);
  options.global_batch_size = 12;
  options.parallel.pipeline_model_parallel_size = 2;
  const std::string error = divergence_of(4, 1, options);
  EXPECT_THAT(error, HasSubstr("rank 1, micro-batch 0: first non-finite gradient layers."));
  EXPECT_THAT(error, HasSubstr("rank 3, micro-batch 0: loss sum nan, first non-finite gradient "));
  EXPECT_THAT(error, Not(HasSubstr("rank 0, micro-batch")));
  EXPECT_THAT(error, Not(HasSubstr("rank 2, micro-batch")));
}

TEST(TrainStep, StepsThatAreNotFiniteAreSkippedUpToTheLimitAndNotCountedByTheOptimizer) {
  RankOptions options = tiny_options(1);
  options.optimizer = {};  // AdamW: its bias correction counts steps
  options.step.max_skipped_steps = 2;
  options.model.normalization = Normalization::kBatchNorm;
  const auto weights_after = [&](const std::vector<bool>& poisoned) {
    std::vector<double> weights;
    run_thread_ranks(1, [&](Communicator& world) {
      Training training(world, options);
      double& value = training.parameter("embedding.position.weight").value.data<double>()[0];
      int64_t num_skipped = 0;
      for (size_t i = 0; i < poisoned.size(); ++i) {
        const double sound = value;
        if (poisoned[i]) value = kNan;
        const StepResult result = training.run(static_cast<int64_t>(i) + 1);
        EXPECT_EQ(result.skipped, poisoned[i]);
        EXPECT_EQ(result.num_skipped, num_skipped += poisoned[i]);
        if (poisoned[i]) value = sound;
      }
      const Tensor& values = training.rank.store().values();
      weights.assign(values.data<double>(), values.data<double>() + values.num_elements());
      const Tensor& statistics = training.rank.store().buffer_values();
      weights.insert(weights.end(), statistics.data<double>(),
                     statistics.data<double>() + statistics.num_elements());
    });
    return weights;
  };
  EXPECT_EQ(weights_after({false, true, true, false, true, true}), weights_after({false, false}));
  EXPECT_THROW(weights_after({true, true, true}), Error);
}

TEST(TrainStep, AStepThatDivergesLeavesRunningStatisticsAsTheyWere) {
  RankOptions options = tiny_options(2);
  options.model.normalization = Normalization::kBatchNorm;
  run_thread_ranks(2, [&](Communicator& world) {
    Training training(world, options);
    training.run(1);
    const std::vector<double> before = testing::values_of(training.rank.store().buffer_values());
    training.parameter("embedding.position.weight").value.data<double>()[0] = kNan;
    EXPECT_THROW(training.run(2), Error);
    EXPECT_EQ(testing::values_of(training.rank.store().buffer_values()), before);
  });
}

TEST(TrainStep, Float16FindsItsLossScaleInEveryLayout) {
  const auto train = [](int num_ranks, int64_t stages, Precision precision) {
    StepResult result;
    run_thread_ranks(num_ranks, [&](Communicator& world) {
      RankOptions options = tiny_options(num_ranks);
      options.global_batch_size = 8;
      options.parallel.pipeline_model_parallel_size = stages;
      options.precision.dtype = precision;
      options.precision.initial_loss_scale = 0x1p40;  // gradients overflow
      options.precision.hysteresis = 1;
      Training training(world, options);
      for (int64_t step = 1; step < 50; ++step) {
        const StepResult one = training.run(step);
        EXPECT_EQ(one.num_skipped, one.skipped ? step : step - 1);
        if (one.skipped) continue;
        if (world.rank() == 0) result = one;
        break;
      }
    });
    return result;
  };
  const StepResult exact = train(1, 1, Precision::kFp64);
  EXPECT_EQ(exact.loss_scale, 1);
  for (const auto& [num_ranks, stages] : {std::pair{1, 1}, std::pair{2, 2}, std::pair{4, 2}}) {
    const StepResult half = train(num_ranks, stages, Precision::kFp16);
    EXPECT_GT(half.num_skipped, 5);
    EXPECT_EQ(half.loss_scale, std::exp2(40 - static_cast<double>(half.num_skipped)));
    EXPECT_NEAR(half.loss / exact.loss, 1, 1e-3);
    EXPECT_NEAR(half.grad_norm / exact.grad_norm, 1, 1e-2);
  }
}

TEST(TrainStep, AConstantLossScaleThatOverflowsStopsTheRun) {
  RankOptions options = tiny_options(1);
  options.precision.dtype = Precision::kFp16;
  options.precision.loss_scale = 0x1p40;
  EXPECT_THROW(run_thread_ranks(1, [&](Communicator& world) { Training(world, options).run(1); }), Error);
}

TEST(TrainStep, ABatchWithoutTargetsIsRefused) {
  const auto train = [](Communicator& world) {
    Training training(world);
    const auto next = [&] {
      Batch batch = training.batch(0);
      batch.num_targets[LossTerm::kTokens] = 0;
      return batch;
    };
    training.rank.step().run(1, next, 0.1, false);
  };
  EXPECT_THROW(run_thread_ranks(2, train), DataError);
}

void expect_replica_check(int64_t interval, int64_t poisoned_before, int64_t refused_at) {
  int64_t reached = 0;
  const auto train = [&](Communicator& world) {
    RankOptions options = tiny_options(2);
    options.step.replica_check_interval = interval;
    Training training(world, options);
    for (int64_t step = 1; step <= refused_at; ++step) {
      if (step == poisoned_before && world.rank() == 1) training.rank.store().values().data<double>()[0] += 1;
      if (world.rank() == 0) reached = step;
      training.run(step);
    }
  };
  try {
    run_thread_ranks(2, train);
    FAIL() << "went on";
  } catch (const CommError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kRanksDisagree) << error.what();
    EXPECT_EQ(reached, refused_at);
  }
}

TEST(TrainStep, ReplicasThatDifferAreRefusedAtTheStartAndEveryNSteps) {
  expect_replica_check(0, 1, 1);
  expect_replica_check(3, 2, 4);
}

}  // namespace
}  // namespace trireme
