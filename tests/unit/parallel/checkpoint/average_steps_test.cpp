#include "parallel/checkpoint/average_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "parallel/checkpoint/initial_weights.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/tensor_reader.h"
#include "parallel/comm/local_communicator.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/run_program.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using testing::CheckpointRun;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::values_of;

class AverageSteps : public ::testing::Test {
 protected:
  /// Saves a run with numbers of its own, in a folder of its own, as step `step`.
  CheckpointRun& save(int64_t step, Precision precision = Precision::kFp32, int64_t vocabulary = 7,
                      bool average = false) {
    comm::LocalCommunicator world;
    runs_.push_back(std::make_unique<CheckpointRun>(precision, static_cast<uint64_t>(step), vocabulary));
    CheckpointRun& run = *runs_.back();
    run.state.step = step;
    set_validation_loss(run.state, 1.0);
    if (average) {
      const Tensor second = run.optimizer->state()[1].flat;
      run.optimizer->state().push_back({"ema", second});
    }
    CheckpointStore store(folder_.path() / ("run-" + std::to_string(step)), world, {}, "run");
    store.save(run.context, run.state, *run.store, run.optimizer->state());
    return run;
  }

  std::string step_path(int64_t step, std::string below = "") const {
    if (below.empty()) below = "run-" + std::to_string(step);
    return folder_.path() / below / ("step-0000000" + std::to_string(step));
  }

  /// The tensor of the averaged step.
  Tensor written(int64_t step, const std::string& name) {
    const checkpoint::Manifest manifest = checkpoint::load_manifest(step_path(step, "mean"));
    for (const checkpoint::SavedTensor& tensor : manifest.tensors)
      if (tensor.name == name)
        return checkpoint::read_tensor(context_, step_path(step, "mean"), manifest, tensor);
    throw CheckpointError("no " + name);
  }

  Context context_;
  testing::TemporaryFolder folder_;
  std::vector<std::unique_ptr<CheckpointRun>> runs_;
};

TEST_F(AverageSteps, GivesTheMeanOfEveryMasterWeightRoundedOnce) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp64}) {
    SCOPED_TRACE(name_of(precision));
    const int64_t first = precision == Precision::kFp32 ? 1 : precision == Precision::kBf16 ? 4 : 7;
    std::vector<std::string> steps;
    runs_.clear();
    for (int64_t step = first; step < first + 3; ++step) {
      save(step, precision);
      steps.push_back(step_path(step));
    }
    const TrainingState state = average_steps(context_, folder_.path() / "mean", {steps});
    EXPECT_EQ(state.step, first + 2);
    EXPECT_EQ(validation_loss_of(state), std::nullopt);
    EXPECT_THAT(verify_checkpoint(step_path(first + 2, "mean")), ::testing::IsEmpty());

    const Tensor given = written(first + 2, "h.0.mlp.weight");
    EXPECT_EQ(given.dtype(), precision == Precision::kFp64 ? DType::kFloat64 : DType::kFloat32);
    const size_t index = 1;  // flat order is reversed: bias, weight
    ASSERT_EQ(runs_[0]->store->parameters()[index]->name, "h.0.mlp.weight");
    const std::vector<double> a = values_of(runs_[0]->store->parameters()[index]->master),
                              b = values_of(runs_[1]->store->parameters()[index]->master),
                              c = values_of(runs_[2]->store->parameters()[index]->master),
                              mean = values_of(given);
    for (size_t i = 0; i < mean.size(); ++i) {
      const double exact = (a[i] + b[i] + c[i]) * (1.0 / 3);
      ASSERT_EQ(mean[i], precision == Precision::kFp64 ? exact : static_cast<float>(exact)) << i;
    }
  }
}

TEST_F(AverageSteps, OfOneStepIsThatStepAndOtherRunsStartFromIt) {
  const CheckpointRun& run = save(3);
  average_steps(context_, folder_.path() / "mean", {{step_path(3)}});
  CheckpointRun other(Precision::kFp32, 99);
  restore_weights(other.context, step_path(3, "mean"), *other.store);
  EXPECT_EQ(values_of(other.store->masters()), values_of(run.store->masters()));
}

TEST_F(AverageSteps, TakesTheMovingAveragesWhereAsked) {
  const CheckpointRun& run = save(2, Precision::kBf16, 7, true);
  average_steps(context_, folder_.path() / "mean", {{step_path(2)}, true});
  const Tensor expected = run.store->view(run.optimizer->state().back().flat, 4);
  EXPECT_EQ(values_of(written(2, "wte.weight")), values_of(expected));

  save(3);
  EXPECT_THAT(message_of<CheckpointError>([&] {
                average_steps(context_, folder_.path() / "other", {{step_path(3)}, true});
              }),
              HasSubstr("holds no moving average"));
}

TEST_F(AverageSteps, RefusesOtherModelsAndListsTheDifferences) {
  save(1);
  save(2, Precision::kFp32, 11);
  EXPECT_THAT(message_of<CheckpointError>([&] {
                average_steps(context_, folder_.path() / "mean", {{step_path(1), step_path(2)}});
              }),
              AllOf(HasSubstr("cannot be averaged with"), HasSubstr("wte.weight has shape")));
  EXPECT_FALSE(std::filesystem::exists(step_path(2, "mean")));
}

TEST_F(AverageSteps, TheLastStepsAreTheNewestOnesOrAnError) {
  comm::LocalCommunicator world;
  const std::string directory = folder_.path() / "run";
  CheckpointStore store(directory, world, {}, "run");
  CheckpointRun run;
  for (const int64_t step : {1, 2, 3}) {
    run.state.step = step;
    store.save(run.context, run.state, *run.store, run.optimizer->state());
  }
  EXPECT_THAT(last_steps(directory, 2), ElementsAre(step_path(2, "run"), step_path(3, "run")));
  EXPECT_EQ(message_of<CheckpointError>([&] { last_steps(directory, 4); }),
            "'" + directory +
                "' has 3 checkpoints, 4 are asked for; checkpoint.keep_last says how many a run keeps");
}

}  // namespace
}  // namespace trireme
