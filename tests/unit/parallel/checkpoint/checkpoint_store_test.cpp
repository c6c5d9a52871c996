#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/initial_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "core/io/directory.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using comm::LocalCommunicator;
using comm::run_thread_ranks;
using testing::CheckpointRun;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// Saves the run `seed` at `step` from `num_ranks` thread ranks.
void save(const std::string& directory, int num_ranks, int64_t step = 12, uint64_t seed = 1,
          const CheckpointConfig& config = {}, Precision precision = Precision::kFp32) {
  run_thread_ranks(num_ranks, [&](Communicator& world) {
    CheckpointRun run(precision, seed);
    run.state.step = step;
    CheckpointStore store(directory, world, config, "test-run");
    store.restore_newest(run.context, run.state, *run.store, run.optimizer->state());
    CheckpointRun fresh(precision, seed);
    fresh.state.step = step;
    EXPECT_TRUE(store.save(fresh.context, fresh.state, *fresh.store, fresh.optimizer->state()));
  });
}

/// What `num_ranks` thread ranks restore; all of them the same.
std::string restored(const std::string& directory, int num_ranks, Precision precision = Precision::kFp32) {
  std::vector<std::string> contents(static_cast<size_t>(num_ranks));
  run_thread_ranks(num_ranks, [&](Communicator& world) {
    CheckpointRun run(precision, 99);
    CheckpointStore store(directory, world, {}, "other-run");
    EXPECT_TRUE(store.restore_newest(run.context, run.state, *run.store, run.optimizer->state()).has_value());
    contents[static_cast<size_t>(world.rank())] = run.content();
  });
  for (const std::string& content : contents) EXPECT_EQ(content, contents[0]);
  return contents[0];
}

std::vector<std::string> names(const std::string& directory) {
  std::vector<std::string> result;
  for (const std::string& name : io::list_directory(directory))
    if (name != ".lock" && name != "latest") result.push_back(name);
  return result;
}

template <class Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return Error(ExitCode::kOk, "nothing was thrown");
}

TEST(CheckpointStore, AnyNumberOfRanksRestoresWhatAnyOtherSavedBitForBit) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp16, Precision::kFp64}) {
    const std::string expected = CheckpointRun(precision).content();
    for (const int saving : {1, 2, 3}) {
      const TemporaryFolder folder;
      save(folder.path(), saving, 12, 1, {}, precision);
      EXPECT_THAT(verify_checkpoint(folder.path() / "step-00000012"), ElementsAre());
      for (const int restoring : {1, 2, 3})
        EXPECT_TRUE(restored(folder.path(), restoring, precision) == expected)
            << saving << " -> " << restoring << " ranks";
    }
  }
}

TEST(CheckpointStore, SavesAndRestoresMatricesWithPaddedRows) {
  const auto wide = [](uint64_t seed) {
    return std::make_unique<CheckpointRun>(Precision::kFp32, seed, 7, 200, 256);
  };
  const TemporaryFolder folder;
  run_thread_ranks(2, [&](Communicator& world) {
    const auto run = wide(1);
    EXPECT_GT(run->parameters[3]->value.row_stride(), 256);
    EXPECT_TRUE(CheckpointStore(folder.path(), world, {}, "test-run")
                    .save(run->context, run->state, *run->store, run->optimizer->state()));
  });
  run_thread_ranks(3, [&](Communicator& world) {
    const auto run = wide(99);
    CheckpointStore store(folder.path(), world, {}, "other-run");
    EXPECT_TRUE(store.restore_newest(run->context, run->state, *run->store, run->optimizer->state()));
    EXPECT_TRUE(run->content() == wide(1)->content());
  });
}

TEST(CheckpointStore, RestoresTheSmallStateAndBumpsVersions) {
  const TemporaryFolder folder;
  save(folder.path(), 2);
  LocalCommunicator world;
  CheckpointRun run(Precision::kFp32, 5);
  CheckpointStore store(folder.path(), world, {}, "next-run");
  const auto state = store.restore_newest(run.context, run.state, *run.store, run.optimizer->state());
  ASSERT_TRUE(state.has_value());
  EXPECT_EQ(state->step, 12);
  EXPECT_EQ(state->tokens, 4096);
  EXPECT_EQ(state->samples, 64);
  EXPECT_EQ(state->run_id, "test-run");
  EXPECT_EQ(state->loss_scaler_json, R"({"growth_tracker":7,"scale":1024.0})");
  EXPECT_EQ(state->dataset_json, R"({"fingerprints":["aa","bb"],"seed":1234,"weights":[0.5,0.5]})");
  EXPECT_EQ(run.parameters[0]->version, 1u);
  EXPECT_EQ(read_training_state(folder.path() / "step-00000012").tokens, 4096);
  EXPECT_EQ(newest_checkpoint(folder.path()), (folder.path() / "step-00000012").string());
  // The step that was restored is not written again.
  EXPECT_FALSE(store.save(run.context, *state, *run.store, run.optimizer->state()));
}

TEST(CheckpointStore, AnEmptyDirectoryRestoresNothing) {
  const TemporaryFolder folder;
  LocalCommunicator world;
  CheckpointRun run;
  const std::string before = run.content();
  CheckpointStore store(folder.path() / "deep/checkpoints", world, {}, "run");
  EXPECT_FALSE(store.restore_newest(run.context, run.state, *run.store, run.optimizer->state()).has_value());
  EXPECT_EQ(run.content(), before);
  EXPECT_EQ(newest_checkpoint(folder.path() / "deep/checkpoints"), std::nullopt);
}

TEST(CheckpointStore, WeightsAloneAreReadWithoutAStore) {
  const TemporaryFolder folder;
  save(folder.path(), 2, 12, 1, {}, Precision::kBf16);
  CheckpointRun expected(Precision::kBf16), run(Precision::kBf16, 7);
  const std::string moments = run.content().substr(run.content().size() / 2);
  restore_weights(run.context, folder.path() / "step-00000012", *run.store);
  EXPECT_EQ(expected.content().substr(0, 1000), run.content().substr(0, 1000));
  EXPECT_EQ(run.content().substr(run.content().size() / 2), moments);
}

TEST(CheckpointStore, KeepsTheLastOnesAndPointsAtTheNewest) {
  const TemporaryFolder folder;
  CheckpointConfig config;
  config.keep_last = 2;
  for (const int64_t step : {0, 5, 100, 123456789}) save(folder.path(), 1, step, 1, config);
  EXPECT_THAT(names(folder.path()), ElementsAre("step-00000100", "step-123456789"));
  EXPECT_EQ(testing::read_file(folder.path() / "latest"), "step-123456789\n");
  config.keep_last = 0;
  save(folder.path(), 1, 123456790, 1, config);
  EXPECT_EQ(names(folder.path()).size(), 3u);
}

TEST(CheckpointStore, TheHintLatestIsOnlyAHint) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  const std::string expected = CheckpointRun().content();
  for (const char* content : {"", "garbage", "step-00000099\n", "../../etc"}) {
    std::ofstream(folder.path() / "latest") << content;
    EXPECT_EQ(restored(folder.path(), 1), expected) << content;
  }
  std::filesystem::remove(folder.path() / "latest");
  std::filesystem::create_symlink("nowhere", folder.path() / "latest");
  EXPECT_EQ(restored(folder.path(), 1), expected);
}

TEST(CheckpointStore, SetsAsideStepsOfAnotherHistory) {
  const TemporaryFolder folder;
  for (const int64_t step : {10, 20, 30}) save(folder.path(), 1, step);
  LocalCommunicator world;
  CheckpointRun run;
  CheckpointStore store(folder.path(), world, {}, "second");
  run.state.step = store
                       .restore(run.context, folder.path() / "step-00000010", run.state, *run.store,
                                run.optimizer->state())
                       .step;
  EXPECT_EQ(run.state.step, 10);
  EXPECT_THAT(names(folder.path()), ElementsAre("step-00000010", "step-00000020", "step-00000030"));
  run.state.step = 20;
  run.state.run_id = "second";
  EXPECT_TRUE(store.save(run.context, run.state, *run.store, run.optimizer->state()));
  EXPECT_THAT(names(folder.path()),
              ElementsAre("abandoned-step-00000020-second", "abandoned-step-00000030-second", "step-00000010",
                          "step-00000020"));
}

TEST(CheckpointStore, ASecondJobIsRefusedOnEveryRankNamingTheHolder) {
  const TemporaryFolder folder;
  LocalCommunicator world;
  const CheckpointStore first(folder.path(), world, {}, "first-run");
  run_thread_ranks(2, [&](Communicator& two) {
    const Error error = error_of([&] { CheckpointStore(folder.path(), two, {}, "second-run"); });
    EXPECT_EQ(error.exit_code(), ExitCode::kCannotCreate);
    EXPECT_THAT(error.what(), HasSubstr("rank 0 on "));
    EXPECT_THAT(error.what(), HasSubstr("in use by another job (run first-run host "));
  });
}

TEST(CheckpointStore, RemovesWhatDeadSavesLeft) {
  const TemporaryFolder folder;
  folder.write(".tmp-step-00000012-dead/shard-00000-of-00001.h5", "half");
  folder.write(".tmp-removed-step-00000001/manifest.json", "half");
  LocalCommunicator world;
  const CheckpointStore store(folder.path(), world, {}, "run");
  EXPECT_TRUE(names(folder.path()).empty());
}

TEST(CheckpointStore, RefusesADirectoryThatCannotBeWrittenAtStart) {
  const TemporaryFolder folder;
  folder.write("file", "in the way");
  LocalCommunicator world;
  const Error error =
      error_of([&] { CheckpointStore(folder.path() / "file/checkpoints", world, {}, "run"); });
  EXPECT_EQ(error.exit_code(), ExitCode::kCannotCreate);
  EXPECT_THAT(error.what(), HasSubstr("Not a directory"));

  // Root may write everywhere, so another user tries.
  std::filesystem::create_directory(folder.path() / "locked");
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  std::filesystem::permissions(folder.path() / "locked", std::filesystem::perms(0555));
  const pid_t child = ::fork();
  if (child == 0) {
    if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(1);
    const Error refused = error_of([&] { CheckpointStore(folder.path() / "locked", world, {}, "run"); });
    const bool named = std::string(refused.what()).find("Permission denied") != std::string::npos;
    ::_exit(named ? static_cast<int>(refused.exit_code()) : 2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  EXPECT_EQ(WEXITSTATUS(status), 73);
}

TEST(CheckpointStore, NamesTheTensorAndTheRanksWhereReplicasDiffer) {
  const TemporaryFolder folder;
  run_thread_ranks(3, [&](Communicator& world) {
    CheckpointRun run;
    CheckpointStore store(folder.path(), world, {}, "run");
    if (world.rank() == 1) run.parameters[2]->value.data<float>()[3] += 0.5f;
    if (world.rank() == 2) run.optimizer->state()[1].flat.data<float>()[10000] += 0.5f;
    const Error error =
        error_of([&] { store.save(run.context, run.state, *run.store, run.optimizer->state()); });
    EXPECT_EQ(error.exit_code(), ExitCode::kRanksDisagree);
    EXPECT_THAT(error.what(), HasSubstr("model h.0.norm.weight (rank 1 differs from rank 0)"));
    EXPECT_THAT(error.what(), HasSubstr("optimizer/exp_avg_sq h.0.mlp.weight (rank 2 differs from rank 0)"));
    EXPECT_THAT(error.what(), HasSubstr("in 2 of 21 boxes"));
  });
  EXPECT_TRUE(names(folder.path()).empty());
}

TEST(CheckpointStore, RanksWithDifferentModelsAreRefused) {
  const TemporaryFolder folder;
  run_thread_ranks(2, [&](Communicator& world) {
    CheckpointRun run(Precision::kFp32, 1, 7 + world.rank());
    CheckpointStore store(folder.path(), world, {}, "run");
    EXPECT_EQ(
        error_of([&] { store.save(run.context, run.state, *run.store, run.optimizer->state()); }).exit_code(),
        ExitCode::kRanksDisagree);
  });
}

// --- differences between the checkpoint and the run

struct Difference {
  const char* what;
  void (*change)(TrainingState&);
  const char* message;  ///< empty: allowed
};

TEST(CheckpointStore, RefusesAnotherRunsCheckpointAndTellsWhatDiffers) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  const Difference differences[] = {
      {"precision", [](TrainingState& s) { s.precision = "bf16"; },
       "precision.dtype: fp32 in the checkpoint, bf16 in this run"},
      {"architecture", [](TrainingState& s) { s.architecture_json = R"({"num_layers":2,"hidden_size":12})"; },
       "model.num_layers: 1 in the checkpoint, 2 in this run"},
      {"new key",
       [](TrainingState& s) { s.architecture_json = R"({"num_layers":1,"hidden_size":12,"x":true})"; },
       "model.x: nothing in the checkpoint, true in this run"},
      {"tokenizer", [](TrainingState& s) { s.tokenizer_hash = ""; },
       "tokenizer: 0123456789abcdef in the checkpoint, none in this run"},
      {"optimizer", [](TrainingState& s) { s.optimizer_json = R"({"optimizer":"sgd","lr":0.001})"; },
       "optimizer.optimizer: \"adamw\" in the checkpoint, \"sgd\" in this run"},
      {"data",
       [](TrainingState& s) {
         s.dataset_json = R"({"seed":1235,"fingerprints":["aa","bb"],"weights":[0.5,0.5]})";
       },
       "data set: seed: 1234 in the checkpoint, 1235 in this run (checkpoint.allow_data_change: true allows "
       "it)"},
      {"lr", [](TrainingState& s) { s.optimizer_json = R"({"optimizer":"adamw","lr":0.002})"; }, ""},
      {"batch", [](TrainingState& s) { s.config_json = R"({"training":{"global_batch_size":16}})"; }, ""},
      {"mesh", [](TrainingState& s) { s.mesh_json = R"({"data":4})"; }, ""},
      {"order and spaces",
       [](TrainingState& s) { s.architecture_json = R"({ "hidden_size":12, "num_layers":1 })"; }, ""},
  };
  LocalCommunicator world;
  CheckpointStore store(folder.path(), world, {}, "run");
  for (const Difference& difference : differences) {
    CheckpointRun run;
    difference.change(run.state);
    const Error error =
        error_of([&] { store.restore_newest(run.context, run.state, *run.store, run.optimizer->state()); });
    if (*difference.message == '\0') {
      EXPECT_EQ(error.exit_code(), ExitCode::kOk) << difference.what << error.what();
    } else {
      EXPECT_EQ(error.exit_code(), ExitCode::kBadData) << difference.what;
      EXPECT_THAT(error.what(), HasSubstr(difference.message));
    }
  }
}

TEST(CheckpointStore, AllowsAnotherDataSetWhenAsked) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  LocalCommunicator world;
  CheckpointConfig config;
  config.allow_data_change = true;
  CheckpointStore store(folder.path(), world, config, "run");
  CheckpointRun run;
  run.state.dataset_json = R"({"seed":1})";
  EXPECT_TRUE(store.restore_newest(run.context, run.state, *run.store, run.optimizer->state()).has_value());
}

TEST(CheckpointStore, ListsEveryMissingUnexpectedAndReshapedTensorAtOnce) {
  const TemporaryFolder folder;
  save(folder.path(), 1);
  LocalCommunicator world;
  CheckpointStore store(folder.path(), world, {}, "run");
  CheckpointRun run(Precision::kFp32, 1, 8);  // another vocabulary
  run.parameters[4]->pieces[0].name = "h.0.mlp.renamed";
  const Error error =
      error_of([&] { store.restore_newest(run.context, run.state, *run.store, run.optimizer->state()); });
  EXPECT_EQ(error.exit_code(), ExitCode::kBadData);
  EXPECT_THAT(error.what(),
              HasSubstr("model wte.weight has shape [7, 12] in the checkpoint, [8, 12] in this run"));
  EXPECT_THAT(error.what(), HasSubstr("optimizer/exp_avg h.0.mlp.renamed is missing in the checkpoint"));
  EXPECT_THAT(error.what(),
              HasSubstr("optimizer/exp_avg_sq h.0.mlp.bias of the checkpoint is not in this run"));
}

TEST(CheckpointStore, RefusesTensorsOfAnotherType) {
  const TemporaryFolder folder;
  save(folder.path(), 1, 12, 1, {}, Precision::kBf16);
  LocalCommunicator world;
  CheckpointStore store(folder.path(), world, {}, "run");
  CheckpointRun run;
  run.state.precision = "bf16";
  const Error error =
      error_of([&] { store.restore_newest(run.context, run.state, *run.store, run.optimizer->state()); });
  EXPECT_THAT(error.what(), HasSubstr("model wte.weight is bfloat16 in the checkpoint, float32 in this run"));
  EXPECT_THAT(error.what(), HasSubstr("master wte.weight of the checkpoint is not in this run"));
}

}  // namespace
}  // namespace trireme
