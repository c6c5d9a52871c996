#include "parallel/checkpoint/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "core/io/directory.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/comm/local_communicator.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/run_program.h"

namespace trireme::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<KeptStep> kSteps = {{100, 3.0}, {150, 2.0},          {200, 2.0},
                                      {250, 2.5}, {300, std::nullopt}, {350, 2.9}};

CheckpointConfig keep(int64_t last, int64_t every = 0, int64_t best = 0) {
  CheckpointConfig config;
  config.keep_last = last;
  config.keep_every = every;
  config.keep_best = best;
  return config;
}

TEST(Retention, KeepsTheLastTheMultiplesAndTheBest) {
  EXPECT_THAT(steps_to_remove(kSteps, keep(0)), IsEmpty());
  EXPECT_THAT(steps_to_remove(kSteps, keep(9)), IsEmpty());
  EXPECT_THAT(steps_to_remove({}, keep(1)), IsEmpty());
  EXPECT_THAT(steps_to_remove(kSteps, keep(2)), ElementsAre(100, 150, 200, 250));
  EXPECT_THAT(steps_to_remove(kSteps, keep(1, 100)), ElementsAre(150, 250));
  EXPECT_THAT(steps_to_remove(kSteps, keep(1, 0, 1)), ElementsAre(100, 150, 250, 300));  // of two equal ones
  EXPECT_THAT(steps_to_remove(kSteps, keep(1, 0, 3)), ElementsAre(100, 300));
  EXPECT_THAT(steps_to_remove(kSteps, keep(1, 150, 2)), ElementsAre(100, 250));
  EXPECT_THAT(steps_to_remove(kSteps, keep(1, 0, 99)), ElementsAre(300));  // its loss was not known
}

TEST(Retention, KeepsTheBestStepOfEarlyStopping) {
  EXPECT_THAT(steps_to_remove(kSteps, keep(2), 150), ElementsAre(100, 200, 250));
  EXPECT_THAT(steps_to_remove(kSteps, keep(2), 999), ElementsAre(100, 150, 200, 250));

  const testing::TemporaryFolder folder;
  comm::LocalCommunicator world;
  testing::CheckpointRun run;
  CheckpointStore store(folder.path(), world, keep(1), "run");
  for (const int64_t step : {10, 20, 30, 40}) {
    run.state.step = step;
    set_early_stopping(run.state, {"validation_loss", 2.5, std::min<int64_t>(step, 20), 0});
    store.save(run.context, run.state, *run.store, run.optimizer->state());
  }
  std::vector<std::string> left;
  for (const std::string& name : io::list_directory(folder.path()))
    if (name.starts_with("step-")) left.push_back(name);
  EXPECT_THAT(left, ElementsAre("step-00000020", "step-00000040"));
}

TEST(Retention, EarlyStoppingTravelsWithASaveAndDamageIsRefused) {
  TrainingState state;
  EXPECT_EQ(early_stopping_of(state), std::nullopt);
  const EarlyStoppingProgress progress{"accuracy", 0.1 + 0.2, 70, 3};
  set_early_stopping(state, progress);
  set_validation_loss(state, 2.0);
  EXPECT_EQ(early_stopping_of(state), progress);
  EXPECT_EQ(validation_loss_of(state), 2.0);
  for (const char* damaged : {R"({"early_stopping": 3})", R"({"early_stopping": {"metric": "a"}})",
                              R"({"early_stopping": {"metric": "a", "best": "x", "best_step": 1,
                                  "num_without_improvement": 0}})",
                              R"({"early_stopping": {"metric": "a", "best": 1, "best_step": -1,
                                  "num_without_improvement": 0}})"}) {
    state.schedule_json = damaged;
    EXPECT_THROW(early_stopping_of(state), CheckpointError) << damaged;
  }
}

TEST(Retention, TheNewestStaysHoweverBadItIs) {
  EXPECT_THAT(steps_to_remove({{1, 1.0}, {2, 9.0}}, keep(1, 0, 1)), IsEmpty());
  EXPECT_THAT(steps_to_remove({{1, 1.0}, {2, 9.0}, {3, 8.0}}, keep(1, 0, 1)), ElementsAre(2));
}

TEST(Retention, TheLossKnownAtASaveTravelsWithIt) {
  TrainingState state;
  EXPECT_EQ(validation_loss_of(state), std::nullopt);
  set_validation_loss(state, 2.25);
  EXPECT_EQ(validation_loss_of(state), 2.25);
  set_validation_loss(state, std::nan(""));
  EXPECT_EQ(validation_loss_of(state), std::nullopt);

  const testing::TemporaryFolder folder;
  comm::LocalCommunicator world;
  testing::CheckpointRun run;
  CheckpointStore store(folder.path(), world, keep(1, 40, 1), "run");
  const std::pair<int64_t, double> losses[] = {{10, 3.0},  {20, 2.0}, {30, 2.5},
                                               {40, 2.75}, {50, 4.0}, {60, 5.0}};
  for (const auto& [step, loss] : losses) {
    run.state.step = step;
    set_validation_loss(run.state, loss);
    store.save(run.context, run.state, *run.store, run.optimizer->state());
  }
  std::vector<std::string> left;
  for (const std::string& name : io::list_directory(folder.path()))
    if (name.starts_with("step-")) left.push_back(name);
  EXPECT_THAT(left, ElementsAre("step-00000020", "step-00000040", "step-00000060"));
  EXPECT_EQ(validation_loss_of(read_training_state(folder.path() / "step-00000020")), 2.0);
}

}  // namespace
}  // namespace trireme::checkpoint
