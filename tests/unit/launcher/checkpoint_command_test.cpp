#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "launcher/commands/commands.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/comm/local_communicator.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;

struct Answer {
  ExitCode exit_code;
  std::string text;
};

Answer checkpoint(const std::vector<std::string>& arguments) {
  CLI::App app;
  CommandAction action;
  add_checkpoint(app, action);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  reversed.emplace_back("checkpoint");
  app.parse(reversed);
  ::testing::internal::CaptureStdout();
  try {
    const ExitCode exit_code = action();
    return {exit_code, ::testing::internal::GetCapturedStdout()};
  } catch (const Error& error) {
    ::testing::internal::GetCapturedStdout();
    return {error.exit_code(), error.what()};
  }
}

class CheckpointCommand : public ::testing::Test {
 protected:
  CheckpointCommand() {
    comm::LocalCommunicator world;
    CheckpointStore store(folder.path() / "checkpoints", world, {}, "run");
    for (const int64_t step : {5, 12}) {
      testing::CheckpointRun run;
      run.state.step = step;
      store.save(run.context, run.state, *run.store, run.optimizer->state());
    }
  }
  testing::TemporaryFolder folder;
  std::string newest = folder.path() / "checkpoints/step-00000012";
};

TEST_F(CheckpointCommand, ListsTheStepsOfARun) {
  std::filesystem::remove(newest + "/manifest.json");
  for (const std::string& path : {folder.path().string(), (folder.path() / "checkpoints").string()}) {
    const Answer answer = checkpoint({"list", path});
    EXPECT_EQ(answer.exit_code, ExitCode::kOk);
    EXPECT_THAT(answer.text, HasSubstr("4096  complete"));
    EXPECT_THAT(answer.text, HasSubstr("No such file"));
  }
  EXPECT_EQ(checkpoint({"list", folder.path() / "nothing"}).exit_code, ExitCode::kBadData);
}

TEST_F(CheckpointCommand, InspectsAStep) {
  const Answer table = checkpoint({"inspect", newest});
  EXPECT_EQ(table.exit_code, ExitCode::kOk);
  EXPECT_THAT(table.text, HasSubstr("step 12, 4096 tokens, 64 samples, precision fp32"));
  EXPECT_THAT(table.text, HasSubstr("optimizer/exp_avg h.0.attn.q.weight"));
  const nlohmann::json json = nlohmann::json::parse(checkpoint({"inspect", "--json", newest}).text);
  EXPECT_EQ(json["step"], 12);
  EXPECT_EQ(json["tensors"].size(), 21u);
  const auto is_embedding = [](const nlohmann::json& tensor) { return tensor["name"] == "wte.weight"; };
  const auto embedding = std::find_if(json["tensors"].begin(), json["tensors"].end(), is_embedding);
  ASSERT_NE(embedding, json["tensors"].end());
  EXPECT_EQ((*embedding)["shape"], nlohmann::json({7, 12}));
  EXPECT_EQ(json["architecture"]["num_layers"], 1);
  EXPECT_EQ(checkpoint({"inspect", folder.path()}).text, table.text) << "a run stands for its newest step";
  EXPECT_EQ(checkpoint({"inspect", folder.path() / "nothing"}).exit_code, ExitCode::kBadData);
}

TEST_F(CheckpointCommand, VerifiesOneStepOrAllAndNamesTheDamage) {
  EXPECT_EQ(checkpoint({"verify", newest}).text, newest + ": ok\n");
  const Answer all = checkpoint({"verify", folder.path()});
  EXPECT_EQ(all.exit_code, ExitCode::kOk);
  EXPECT_THAT(all.text, HasSubstr("step-00000005: ok\n"));

  const std::string shard = newest + "/shard-00000-of-00001.h5";
  std::string bytes = testing::read_file(shard);
  bytes[100] ^= 1;  // in HDF5's own part
  folder.write("checkpoints/step-00000012/shard-00000-of-00001.h5", bytes);
  const Answer damaged = checkpoint({"verify", folder.path() / "checkpoints"});
  EXPECT_EQ(damaged.exit_code, ExitCode::kBadData);
  EXPECT_THAT(damaged.text, HasSubstr("step-00000005: ok\n"));
  EXPECT_THAT(damaged.text, HasSubstr("'" + shard + "' is damaged: the file has digest"));
  EXPECT_EQ(checkpoint({"verify", folder.path() / "checkpoints/step-00000099"}).exit_code,
            ExitCode::kBadData);
}

}  // namespace
}  // namespace trireme
