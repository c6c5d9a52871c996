#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "launcher/commands/commands.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;

struct Answer {
  ExitCode exit_code;
  std::string text;
};

Answer command(const std::vector<std::string>& arguments) {
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
    const Answer answer = command({"list", path});
    EXPECT_EQ(answer.exit_code, ExitCode::kOk);
    EXPECT_THAT(answer.text, HasSubstr("4096  complete"));
    EXPECT_THAT(answer.text, HasSubstr("No such file"));
  }
  EXPECT_EQ(command({"list", folder.path() / "nothing"}).exit_code, ExitCode::kBadData);
}

TEST_F(CheckpointCommand, InspectsAStep) {
  const Answer table = command({"inspect", newest});
  EXPECT_EQ(table.exit_code, ExitCode::kOk);
  EXPECT_THAT(table.text, HasSubstr("step 12, 4096 tokens, 64 samples, precision fp32"));
  EXPECT_THAT(table.text, HasSubstr("optimizer/exp_avg h.0.attn.q.weight"));
  const nlohmann::json json = nlohmann::json::parse(command({"inspect", "--json", newest}).text);
  EXPECT_EQ(json["step"], 12);
  EXPECT_EQ(json["tensors"].size(), 21u);
  const auto is_embedding = [](const nlohmann::json& tensor) { return tensor["name"] == "wte.weight"; };
  const auto embedding = std::find_if(json["tensors"].begin(), json["tensors"].end(), is_embedding);
  ASSERT_NE(embedding, json["tensors"].end());
  EXPECT_EQ((*embedding)["shape"], nlohmann::json({7, 12}));
  EXPECT_EQ(json["architecture"]["num_layers"], 1);
  EXPECT_EQ(command({"inspect", folder.path()}).text, table.text) << "a run stands for its newest step";
  EXPECT_EQ(command({"inspect", folder.path() / "nothing"}).exit_code, ExitCode::kBadData);
}

TEST_F(CheckpointCommand, VerifiesOneStepOrAllAndNamesTheDamage) {
  EXPECT_EQ(command({"verify", newest}).text, newest + ": ok\n");
  const Answer all = command({"verify", folder.path()});
  EXPECT_EQ(all.exit_code, ExitCode::kOk);
  EXPECT_THAT(all.text, HasSubstr("step-00000005: ok\n"));

  const std::string shard = newest + "/shard-00000-of-00001.h5";
  std::string bytes = testing::read_file(shard);
  bytes[100] ^= 1;  // in HDF5's own part
  folder.write("checkpoints/step-00000012/shard-00000-of-00001.h5", bytes);
  const Answer damaged = command({"verify", folder.path() / "checkpoints"});
  EXPECT_EQ(damaged.exit_code, ExitCode::kBadData);
  EXPECT_THAT(damaged.text, HasSubstr("step-00000005: ok\n"));
  EXPECT_THAT(damaged.text, HasSubstr("'" + shard + "' is damaged: the file has digest"));
  EXPECT_EQ(command({"verify", folder.path() / "checkpoints/step-00000099"}).exit_code, ExitCode::kBadData);
}

/// Steps of `run` with other numbers, in a directory of its own.
std::string save(const testing::TemporaryFolder& folder, const std::string& name, testing::CheckpointRun& run,
                 int num_ranks = 1) {
  const std::string path = folder.path() / name;
  comm::run_thread_ranks(num_ranks, [&](Communicator& world) {
    CheckpointStore store(path, world, {}, "run");
    if (num_ranks == 1) {
      store.save(run.context, run.state, *run.store, run.optimizer->state());
    } else {
      testing::CheckpointRun same;
      store.save(same.context, same.state, *same.store, same.optimizer->state());
    }
  });
  return path + "/step-00000012";
}

TEST_F(CheckpointCommand, DiffSaysNothingOfEqualStepsWhateverTheirLayouts) {
  testing::CheckpointRun run;
  const std::string other = save(folder, "other", run, 3);
  const Answer answer = command({"diff", newest, other});
  EXPECT_EQ(answer.exit_code, ExitCode::kOk);
  EXPECT_EQ(answer.text, newest + " and " + other + ": 21 of 21 tensors equal\n");
}

TEST_F(CheckpointCommand, DiffNamesEveryTensorThatDiffersAndReturns76) {
  testing::CheckpointRun run(Precision::kFp32, 1, 8);  // another vocabulary
  run.parameters[4]->pieces[0].name = "h.0.mlp.renamed";
  Tensor norm = run.parameters[2]->value;
  norm.data<float>()[1] *= 1.5f;
  norm.data<float>()[4] = std::numeric_limits<float>::quiet_NaN();
  const Answer answer = command({"diff", newest, save(folder, "other", run)});
  EXPECT_EQ(answer.exit_code, ExitCode::kRanksDisagree);
  EXPECT_THAT(answer.text, HasSubstr("model wte.weight: shape [7, 12] and [8, 12]\n"));
  EXPECT_THAT(answer.text, HasSubstr("model h.0.mlp.bias: missing in the second\n"));
  EXPECT_THAT(answer.text, HasSubstr("model h.0.mlp.renamed: missing in the first\n"));
  EXPECT_THAT(answer.text, HasSubstr("model h.0.norm.weight: 3 of 5 values equal, largest difference inf"));
  EXPECT_THAT(answer.text, ::testing::Not(HasSubstr("h.0.attn.q")));
}

TEST_F(CheckpointCommand, DiffAllowsWhatItsToleranceSays) {
  testing::CheckpointRun run;
  Tensor norm = run.parameters[2]->value;
  float* values = norm.data<float>();
  float largest = 0;
  for (int i = 0; i < 5; ++i) largest = std::max(largest, std::abs(values[i]));
  values[0] += 1e-3f * largest;
  const std::string other = save(folder, "other", run);
  EXPECT_EQ(command({"diff", newest, other}).exit_code, ExitCode::kRanksDisagree);
  EXPECT_EQ(command({"diff", newest, other, "--tolerance", "1e-4"}).exit_code, ExitCode::kRanksDisagree);
  const Answer within = command({"diff", newest, other, "--tolerance", "2e-3"});
  EXPECT_EQ(within.exit_code, ExitCode::kOk);
  EXPECT_THAT(within.text, HasSubstr("20 of 21 tensors equal, 21 within 0.002\n"));
  EXPECT_THAT(within.text, HasSubstr("h.0.norm.weight: 4 of 5 values equal"));
}

TEST_F(CheckpointCommand, DiffOfADamagedStepIsRefused) {
  std::filesystem::resize_file(newest + "/index.h5", 100);
  const Answer answer = command({"diff", newest, folder.path() / "checkpoints/step-00000005"});
  EXPECT_EQ(answer.exit_code, ExitCode::kBadData);
  EXPECT_THAT(answer.text, HasSubstr("it has 100 bytes instead of"));
}

TEST_F(CheckpointCommand, AnIndexIsRepairedHoweverItIsDamaged) {
  const std::string index = newest + "/index.h5";
  const std::string bytes = testing::read_file(index),
                    manifest = testing::read_file(newest + "/manifest.json");
  EXPECT_EQ(command({"repair-index", newest}).text, newest + ": index.h5 is sound, nothing was written\n");
  std::string flipped = bytes;
  flipped[bytes.size() / 2] ^= 4;
  for (const std::string& damage : {flipped, bytes.substr(0, 1000), std::string(), bytes + "x"}) {
    folder.write("checkpoints/step-00000012/index.h5", damage);
    EXPECT_EQ(command({"repair-index", newest}).text, newest + ": index.h5 was made again\n");
    EXPECT_EQ(testing::read_file(index), bytes);
  }
  std::filesystem::remove(index);
  EXPECT_EQ(command({"repair-index", newest}).exit_code, ExitCode::kOk);
  EXPECT_EQ(testing::read_file(index), bytes);
  EXPECT_EQ(testing::read_file(newest + "/manifest.json"), manifest);
  EXPECT_EQ(command({"verify", newest}).text, newest + ": ok\n");
}

TEST_F(CheckpointCommand, AnIndexOfAnotherHdf5IsReplacedTogetherWithItsDigest) {
  checkpoint::Manifest manifest = checkpoint::load_manifest(newest);
  folder.write("checkpoints/step-00000012/index.h5", "what another version wrote, now damaged");
  manifest.files["index.h5"] = {500, std::string(32, '0')};
  folder.write("checkpoints/step-00000012/manifest.json", checkpoint::to_json(manifest));
  EXPECT_EQ(command({"verify", newest}).exit_code, ExitCode::kBadData);
  EXPECT_EQ(command({"repair-index", newest}).text,
            newest + ": index.h5 was made again, with another digest in manifest.json\n");
  EXPECT_EQ(command({"verify", newest}).text, newest + ": ok\n");
  // Nothing is left beside the steps.
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "checkpoints"))
    names.push_back(entry.path().filename());
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("step-00000005", "step-00000012", "latest", ".lock"));
}

TEST_F(CheckpointCommand, ARepairThatIsKilledLeavesTheStepOfBeforeOrAfterAndIsDoneAgain) {
  const std::string damaged = "what another version wrote, now damaged";
  checkpoint::Manifest manifest = checkpoint::load_manifest(newest);
  manifest.files["index.h5"] = {500, std::string(32, '0')};
  const std::string before = checkpoint::to_json(manifest);
  for (const std::string phase : {"repair", "exchange"}) {
    folder.write("checkpoints/step-00000012/index.h5", damaged);
    folder.write("checkpoints/step-00000012/manifest.json", before);
    const auto killed =
        testing::run_program({testing::trireme_binary(), "checkpoint", "repair-index", newest}, folder.path(),
                             {{"TRIREME_FAULT", phase + ":0:kill"}});
    EXPECT_EQ(killed.exit_code, -SIGKILL) << killed.error;
    const bool exchanged = phase == "exchange";
    EXPECT_EQ(testing::read_file(newest + "/index.h5") == damaged, !exchanged);
    EXPECT_EQ(testing::read_file(newest + "/manifest.json") == before, !exchanged);
    EXPECT_EQ(command({"verify", newest}).exit_code, exchanged ? ExitCode::kOk : ExitCode::kBadData);
    EXPECT_EQ(command({"repair-index", newest}).exit_code, ExitCode::kOk) << phase;
    EXPECT_EQ(command({"verify", newest}).text, newest + ": ok\n");
    for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "checkpoints"))
      EXPECT_FALSE(entry.path().filename().string().starts_with(".tmp-")) << entry.path();
  }
}

TEST_F(CheckpointCommand, ARepairThatCouldHideDamageIsRefusedAndWritesNothing) {
  const std::string shard = newest + "/shard-00000-of-00001.h5";
  std::string bytes = testing::read_file(shard);
  bytes[5000] ^= 1;
  folder.write("checkpoints/step-00000012/shard-00000-of-00001.h5", bytes);
  folder.write("checkpoints/step-00000012/index.h5", "damaged");
  const Answer answer = command({"repair-index", newest});
  EXPECT_EQ(answer.exit_code, ExitCode::kBadData);
  EXPECT_THAT(answer.text, HasSubstr("is not repaired, more than its index is damaged:\n  '" + shard));
  EXPECT_EQ(testing::read_file(newest + "/index.h5"), "damaged");

  comm::LocalCommunicator world;
  const CheckpointStore job(folder.path() / "checkpoints", world, {}, "another-job");
  const Answer locked = command({"repair-index", folder.path() / "checkpoints/step-00000005"});
  EXPECT_EQ(locked.exit_code, ExitCode::kCannotCreate);
  EXPECT_THAT(locked.text, HasSubstr("another-job"));
}

}  // namespace
}  // namespace trireme
