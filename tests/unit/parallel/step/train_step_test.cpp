#include "parallel/step/train_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/test_batch.h"
#include "tests/support/tiny_models.h"

namespace trireme {
namespace {

using comm::run_thread_ranks;
using ::testing::HasSubstr;

/// A tiny model ready to train on one of the ranks of `world`.
struct Training {
  explicit Training(Communicator& world, double clip_grad = 1.0)
      : mesh(world, ParallelConfig{}),
        tiny(context, testing::tiny_gpt2(), Precision::kFp64),
        optimizer(make_optimizer(context, sgd(), *tiny.store)),
        buckets(*tiny.store, mesh.data(), 1000),
        step(context, mesh, *tiny.model, *tiny.store, *optimizer, buckets, {.clip_grad = clip_grad}) {}

  static OptimizerConfig sgd() {
    OptimizerConfig config;
    config.optimizer = OptimizerKind::kSgd;
    config.sgd_momentum = 0;
    config.weight_decay = 0;
    return config;
  }
  Batch batch(int64_t first_sample) {
    return testing::random_batch(context, 2, 7, 11, 100 + static_cast<uint64_t>(first_sample), first_sample);
  }
  StepResult run(int64_t number, bool signal = false, double lr = 0.1) {
    return step.run(
        number, 1, [&] { return batch(2 * mesh.world().rank()); }, lr, signal);
  }

  Context context;
  Mesh mesh;
  testing::TinyModel tiny;
  std::unique_ptr<Optimizer> optimizer;
  GradientBuckets buckets;
  TrainStep step;
};

TEST(TrainStep, CountsTargetsAndTokensOfTheGlobalBatch) {
  run_thread_ranks(3, [](Communicator& world) {
    Training training(world);
    const StepResult result = training.run(1);
    EXPECT_EQ(result.num_tokens, 3 * 14);
    EXPECT_EQ(result.num_targets, 3 * (14 - 2));
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
    Training training(world, clip);
    std::vector<double> before(
        training.tiny.store->masters().data<double>(),
        training.tiny.store->masters().data<double>() + training.tiny.store->num_elements());
    const StepResult result = training.run(1, false, lr);
    ASSERT_GT(result.grad_norm, clip);
    double sum = 0, moved = 0;
    for (int64_t i = 0; i < training.tiny.store->num_elements(); ++i) {
      const double gradient = training.tiny.store->gradients().data<double>()[i];
      sum += gradient * gradient;
      const double change = before[static_cast<size_t>(i)] - training.tiny.store->masters().data<double>()[i];
      moved += change * change;
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

TEST(TrainStep, DivergenceNamesParameterAndRankAndUpdatesNothing) {
  try {
    run_thread_ranks(2, [](Communicator& world) {
      Training training(world);
      // Poisoned on rank 1 only, after the check of the replicas.
      Parameter& positions = *training.tiny.store->parameters()[training.tiny.store->parameters().size() - 2];
      ASSERT_EQ(positions.name, "embedding.position.weight");
      if (world.rank() == 1) positions.value.data<double>()[0] = std::numeric_limits<double>::quiet_NaN();
      const std::vector<double> before(positions.value.data<double>() + 1,
                                       positions.value.data<double>() + 8);
      try {
        training.run(7);
      } catch (const Error&) {
        EXPECT_EQ(before, std::vector<double>(positions.value.data<double>() + 1,
                                              positions.value.data<double>() + 8));
        throw;
      }
    });
    FAIL() << "went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kDiverged) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("training diverged at step 7"));
    EXPECT_THAT(error.what(), HasSubstr("rank 1, micro-batch 0: loss sum nan, first non-finite gradient "));
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("rank 0, micro-batch")));
  }
}

TEST(TrainStep, ABatchWithoutTargetsIsRefused) {
  EXPECT_THROW(run_thread_ranks(2,
                                [](Communicator& world) {
                                  Training training(world);
                                  training.step.run(
                                      1, 1,
                                      [&] {
                                        Batch batch = training.batch(0);
                                        batch.num_targets = 0;
                                        return batch;
                                      },
                                      0.1, false);
                                }),
               DataError);
}

TEST(TrainStep, ReplicasThatDifferAreRefusedAtTheStart) {
  EXPECT_THROW(run_thread_ranks(2,
                                [](Communicator& world) {
                                  Training training(world);
                                  if (world.rank() == 1) training.tiny.store->values().data<double>()[0] += 1;
                                  TrainStep again(training.context, training.mesh, *training.tiny.model,
                                                  *training.tiny.store, *training.optimizer, training.buckets,
                                                  {});
                                }),
               CommError);
}

}  // namespace
}  // namespace trireme
