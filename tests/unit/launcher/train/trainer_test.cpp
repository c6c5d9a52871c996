#include "launcher/train/trainer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "core/base/error.h"
#include "core/data/indexed_dataset_writer.h"
#include "core/data/labels_file.h"
#include "launcher/config/load.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using nlohmann::json;
using testing::read_file;
using testing::TemporaryFolder;

constexpr const char* kTinyRun =
    "model: {num_layers: 1, hidden_size: 16, num_attention_heads: 2, vocab_size: 48, hidden_dropout: 0.1}\n"
    "data: {source: synthetic, seq_length: 16}\n"
    "training: {train_iters: 12, micro_batch_size: 2, global_batch_size: 8, eval_interval: 4, eval_iters: "
    "4,\n"
    "           num_threads: 1, peak_tflops: 0.1, log_interval: 100}\n"
    "optimizer: {lr: 3e-3, lr_warmup_iters: 2}\n";

RunConfig tiny_run(const TemporaryFolder& folder, const std::vector<std::string>& overrides = {}) {
  RunConfig config = parse_run_config(kTinyRun, "tiny", overrides);
  config.training.output_dir = (folder.path() / "run").string();
  return config;
}

struct Outcome {
  ExitCode code = ExitCode::kInternal;
  std::vector<std::byte> masters, buffers;  ///< of rank 0
};

/// Trains on thread ranks; the last rank alone is asked to stop when the step `stop_at` begins.
Outcome train(const RunConfig& config, int num_ranks = 1, int64_t stop_at = -1) {
  Outcome outcome;
  comm::run_thread_ranks(num_ranks, [&](Communicator& world) {
    Trainer* self = nullptr;
    const bool asked = world.rank() + 1 == num_ranks;
    Trainer trainer(config, world, [&] { return asked && self != nullptr && self->step() + 1 == stop_at; });
    self = &trainer;
    const ExitCode code = trainer.run();
    if (world.rank() != 0) return;
    outcome.code = code;
    const Tensor& masters = trainer.parameters().masters();
    outcome.masters.assign(masters.raw(), masters.raw() + masters.num_bytes());
    const Tensor& buffers = trainer.parameters().buffer_values();
    if (buffers.defined()) outcome.buffers.assign(buffers.raw(), buffers.raw() + buffers.num_bytes());
  });
  return outcome;
}

std::vector<json> metrics_of(const RunConfig& config) {
  std::istringstream text(read_file(config.training.output_dir + "/metrics.jsonl"));
  std::vector<json> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
  return lines;
}

std::map<int64_t, double> column(const RunConfig& config, const std::string& key) {
  std::map<int64_t, double> values;
  for (const json& line : metrics_of(config))
    if (line.contains(key)) {
      EXPECT_TRUE(values.emplace(line["step"], line[key]).second) << line["step"];
    }
  return values;
}

class TrainerTest : public ::testing::Test {
 protected:
  void SetUp() override { ::testing::internal::CaptureStdout(); }
  void TearDown() override {
    const std::string printed = ::testing::internal::GetCapturedStdout();
    if (HasFailure()) fmt::print("{}", printed);
  }
  TemporaryFolder folder_, other_;
};

TEST_F(TrainerTest, TheLossFallsAndEverythingIsWritten) {
  // Wide initial weights start above the entropy of random tokens, so there is something to learn.
  const RunConfig config =
      tiny_run(folder_, {"init_method_std=0.5", "train_iters=40", "lr=2e-2", "checkpoint.save_interval=20"});
  EXPECT_EQ(train(config).code, ExitCode::kOk);
  const auto losses = column(config, "loss");
  ASSERT_EQ(losses.size(), 40u);
  EXPECT_LT(losses.at(40), losses.at(1) - 1.0);
  EXPECT_EQ(column(config, "validation_loss").size(), 10u);
  const auto accuracies = column(config, "validation_token_accuracy");
  ASSERT_EQ(accuracies.size(), 10u);
  for (const auto& [step, accuracy] : accuracies) EXPECT_TRUE(accuracy >= 0 && accuracy <= 1) << step;
  EXPECT_TRUE(column(config, "validation_sample_accuracy").empty());  // this model judges no samples
  EXPECT_EQ(column(config, "tokens").at(40), 40 * 8 * 16);
  const json line = metrics_of(config).front();
  EXPECT_GT(line["memory"], 0);
  EXPECT_GT(line["mfu"], 0.0);
  for (const char* phase : {"data", "forward_backward", "reduction", "optimizer", "checkpoint"})
    EXPECT_TRUE(line["phases"].contains(phase)) << phase;
  const std::filesystem::path output = config.training.output_dir;
  EXPECT_TRUE(std::filesystem::exists(output / "checkpoints/step-00000020/manifest.json"));
  EXPECT_TRUE(std::filesystem::exists(output / "checkpoints/step-00000040/manifest.json"));
  EXPECT_EQ(json::parse(read_training_state(output / "checkpoints/step-00000040").mesh_json),
            json({{"tensor", 1},
                  {"context", 1},
                  {"expert", 1},
                  {"data", 1},
                  {"pipeline", 1},
                  {"rank_order", "tp-cp-ep-dp-pp"},
                  {"virtual_pipeline", 1},
                  {"sequence_parallel", false},
                  {"zero_stage", 0}}));
  EXPECT_FALSE(std::filesystem::is_empty(output / "tensorboard"));
  const RunConfig resolved = load_run_config((output / "config.yaml").string());
  EXPECT_EQ(resolved.model.ffn_hidden_size, 64);
  EXPECT_EQ(resolved.training.output_dir, config.training.output_dir);
}

TEST_F(TrainerTest, ARunThatStopsAndResumesIsBitwiseTheUninterruptedOne) {
  for (const std::string dtype : {"fp32", "bf16"}) {
    for (const std::string norm : {"LayerNorm", "BatchNorm"}) {
      SCOPED_TRACE(dtype + " " + norm);
      const TemporaryFolder first, second;
      const std::vector<std::string> options = {"dtype=" + dtype, "normalization=" + norm};
      const RunConfig whole = tiny_run(first, options), parts = tiny_run(second, options);
      const Outcome expected = train(whole);
      EXPECT_EQ(expected.buffers.empty(), norm == "LayerNorm");
      EXPECT_EQ(train(parts, 1, 5).code, ExitCode::kPreempted);
      EXPECT_EQ(column(parts, "loss").size(), 5u);
      const Outcome resumed = train(parts);
      EXPECT_EQ(resumed.code, ExitCode::kOk);
      for (const char* key : {"loss", "grad_norm", "tokens", "validation_loss"})
        EXPECT_EQ(column(parts, key), column(whole, key)) << key;
      EXPECT_EQ(resumed.masters, expected.masters);
      EXPECT_EQ(resumed.buffers, expected.buffers);
    }
  }
}

TEST_F(TrainerTest, ResumingGoesOnWithTheLossScaleAndTheSkippedSteps) {
  // A scale that overflows at first, and grows again within the run.
  const std::vector<std::string> fp16 = {"dtype=fp16", "initial_loss_scale=4e9", "loss_scale_window=3",
                                         "hysteresis=1"};
  const RunConfig whole = tiny_run(folder_, fp16), parts = tiny_run(other_, fp16);
  const Outcome expected = train(whole, 2);
  const auto scales = column(whole, "loss_scale");
  EXPECT_LT(scales.at(5), scales.at(1));
  EXPECT_GT(column(whole, "skipped_steps").at(5), 0);
  EXPECT_EQ(train(parts, 2, 5).code, ExitCode::kPreempted);
  EXPECT_EQ(train(parts, 2).masters, expected.masters);
  for (const char* key : {"loss_scale", "skipped_steps", "loss"})
    EXPECT_EQ(column(parts, key), column(whole, key)) << key;
}

TEST_F(TrainerTest, APipelineDrawsItsTimelineAndEveryStepCommunicatesTheSame) {
  const RunConfig config = tiny_run(folder_, {"num_layers=2", "pipeline_model_parallel_size=2",
                                              "timeline_step=3", "train_iters=6", "save_interval=2"});
  EXPECT_EQ(train(config, 4).code, ExitCode::kOk);
  const std::string timeline = config.training.output_dir + "/timeline";
  EXPECT_EQ(read_file(timeline + ".svg").substr(0, 4), "<svg");
  EXPECT_FALSE(json::parse(read_file(timeline + ".json"))["traceEvents"].empty());
  // Evaluations (steps 4 and 6) and saves (2, 4 and 6) are not a step's. The first step also compares
  // replicas.
  json first;
  for (const json& line : metrics_of(config)) {
    if (!line.contains("loss") || line["step"] == 1) continue;
    if (first.is_null()) first = line;
    EXPECT_GT(line["communication"]["pipeline"], 0);
    EXPECT_GT(line["communication"]["data"], 0);
    EXPECT_EQ(line["communication"]["data"], first["communication"]["data"]) << line["step"];
    EXPECT_EQ(line["communication"]["pipeline"], first["communication"]["pipeline"]) << line["step"];
    EXPECT_GT(line["waiting"]["pipeline"], 0.0);
  }
}

TEST_F(TrainerTest, ResumingOnAnotherNumberOfRanksContinuesTheSameSequence) {
  const std::vector<std::string> fp64 = {"dtype=fp64", "eval_iters=0"};
  const RunConfig whole = tiny_run(folder_, fp64), parts = tiny_run(other_, fp64);
  train(whole);
  EXPECT_EQ(train(parts, 2, 4).code, ExitCode::kPreempted);
  EXPECT_EQ(train(parts, 4, 8).code, ExitCode::kPreempted);
  EXPECT_EQ(train(parts, 1).code, ExitCode::kOk);
  for (const char* key : {"loss", "grad_norm", "validation_loss"}) {
    const auto expected = column(whole, key), given = column(parts, key);
    ASSERT_EQ(given.size(), expected.size()) << key;
    for (const auto& [step, value] : expected)
      EXPECT_NEAR(given.at(step), value, 1e-10) << key << " " << step;
  }
}

TEST_F(TrainerTest, StoppingInTheLastStepIsTheEnd) {
  const RunConfig config = tiny_run(folder_, {"train_iters=3"});
  EXPECT_EQ(train(config, 1, 3).code, ExitCode::kOk);
  EXPECT_EQ(train(config).code, ExitCode::kOk);  // nothing is left to do
  EXPECT_EQ(column(config, "loss").size(), 3u);
}

TEST_F(TrainerTest, ResumeNeverStartsAgainAndAPathGoesOnFromThere) {
  RunConfig config = tiny_run(folder_, {"train_iters=4", "save_interval=2"});
  train(config);
  const auto losses = column(config, "loss");
  config.training.resume = config.training.output_dir + "/checkpoints/step-00000002";
  train(config);
  EXPECT_EQ(column(config, "loss"), losses);
  config.training.resume = "never";
  train(config);
  EXPECT_EQ(column(config, "loss"), losses);
}

TEST_F(TrainerTest, AnotherModelOrDataSetIsRefusedAndNothingIsLost) {
  const RunConfig config = tiny_run(folder_, {"train_iters=2"});
  train(config);
  const std::string metrics = read_file(config.training.output_dir + "/metrics.jsonl");
  for (const char* change : {"hidden_size=32", "seed=7", "dtype=bf16", "optimizer.optimizer=sgd"}) {
    RunConfig other = tiny_run(folder_, {"train_iters=4", change});
    try {
      train(other);
      ADD_FAILURE() << change;
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), ExitCode::kBadData) << change << ": " << error.what();
    }
  }
  EXPECT_EQ(read_file(config.training.output_dir + "/metrics.jsonl"), metrics);
  EXPECT_TRUE(
      std::filesystem::exists(config.training.output_dir + "/checkpoints/step-00000002/manifest.json"));
}

/// A fault of every save while one lives; by default that of a disk that is full.
struct FailingDisk {
  explicit FailingDisk(const char* fault = "index:0:error") { setenv("TRIREME_FAULT", fault, 1); }
  ~FailingDisk() { unsetenv("TRIREME_FAULT"); }
};

TEST_F(TrainerTest, StepsGoOnWhileACheckpointIsWrittenAndItIsThatOfItsStep) {
  const RunConfig waiting = tiny_run(folder_, {"save_interval=2", "async=false"});
  RunConfig background = tiny_run(other_, {"save_interval=2"});
  const Outcome expected = train(waiting, 2);
  {
    const FailingDisk slow("before_fsync:1:delay=0.3");
    const Outcome given = train(background, 2);
    EXPECT_EQ(given.masters, expected.masters);
  }
  EXPECT_EQ(column(background, "loss"), column(waiting, "loss"));

  std::vector<int64_t> saved_after;  // the last step before each save's line
  std::vector<json> saves;
  for (int64_t step = 0; const json& line : metrics_of(background)) {
    if (line.contains("loss")) step = line["step"];
    if (!line.contains("checkpoint")) continue;
    saves.push_back(line);
    saved_after.push_back(step);
  }
  EXPECT_EQ(saves.front()["step"], 2);
  EXPECT_GT(saved_after.front(), 2);
  EXPECT_EQ(saves.back()["step"], 12);
  EXPECT_GE(saves.back()["checkpoint"]["skipped_saves"], 1);
  EXPECT_GT(saves.back()["checkpoint"]["replica_bytes"], 0);

  // What was saved beside training is what training had: from there it goes on to the same weights.
  RunConfig again = background;
  again.training.resume = background.training.output_dir + "/checkpoints/step-00000002";
  again.training.output_dir += "-again";
  EXPECT_EQ(train(again, 2).masters, expected.masters);
}

std::vector<std::string> steps_of(const RunConfig& config) {
  std::vector<std::string> steps;
  for (const auto& entry : std::filesystem::directory_iterator(config.training.output_dir + "/checkpoints"))
    if (entry.is_directory()) {
      EXPECT_EQ(verify_checkpoint(entry.path()), std::vector<std::string>());
      steps.push_back(entry.path().filename());
    }
  std::sort(steps.begin(), steps.end());
  return steps;
}

TEST_F(TrainerTest, ASignalWhileASaveIsUnderWayWaitsForItAndSavesItsOwnStep) {
  const RunConfig whole = tiny_run(other_), parts = tiny_run(folder_, {"save_interval=2"});
  const Outcome expected = train(whole, 2);
  {
    const FailingDisk slow("before_fsync:1:delay=0.3");
    EXPECT_EQ(train(parts, 2, 3).code, ExitCode::kPreempted);
  }
  EXPECT_EQ(steps_of(parts), (std::vector<std::string>{"step-00000002", "step-00000003"}));
  EXPECT_EQ(column(parts, "loss").size(), 3u);
  EXPECT_EQ(train(parts, 2).masters, expected.masters);
  EXPECT_EQ(column(parts, "loss"), column(whole, "loss"));
}

TEST_F(TrainerTest, ASignalInAStepThatIsSavedAnywaySavesItOnce) {
  const RunConfig due = tiny_run(folder_, {"save_interval=2"});
  EXPECT_EQ(train(due, 2, 2).code, ExitCode::kPreempted);
  EXPECT_EQ(steps_of(due), std::vector<std::string>{"step-00000002"});
  const RunConfig last = tiny_run(other_, {"train_iters=4", "save_interval=2"});
  const FailingDisk slow("before_fsync:0:delay=0.3");  // the save of step 2 is under way in steps 3 and 4
  EXPECT_EQ(train(last, 2, 4).code, ExitCode::kOk);
  EXPECT_EQ(steps_of(last), (std::vector<std::string>{"step-00000002", "step-00000004"}));
  int num_saves = 0;
  for (const RunConfig& config : {due, last})
    for (const json& line : metrics_of(config)) num_saves += line.contains("checkpoint");
  EXPECT_EQ(num_saves, 3);
}

TEST_F(TrainerTest, TheLastSaveIsTriedThoughTheOneUnderWayFails) {
  for (const char* policy : {"on_save_error=stop", "max_failed_saves=0"}) {
    ::testing::internal::CaptureStderr();
    const TemporaryFolder folder;
    const RunConfig config = tiny_run(folder, {"train_iters=3", "save_interval=2", policy});
    FailingDisk disk("write:0:error");
    comm::LocalCommunicator world;
    const Trainer* self = nullptr;
    Trainer trainer(config, world, [&] {
      if (self == nullptr || self->step() < 2) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(300));  // the save of step 2 has failed
      unsetenv("TRIREME_FAULT");
      return true;
    });
    self = &trainer;
    EXPECT_EQ(trainer.run(), ExitCode::kOk) << policy;
    EXPECT_EQ(steps_of(config), std::vector<std::string>{"step-00000003"});
    const std::string told = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(told.find("step 2: "), std::string::npos) << told;
  }
}

TEST_F(TrainerTest, FailedSavesEndARunWhenItSaysSo) {
  ::testing::internal::CaptureStderr();
  const FailingDisk disk("write:1:error");
  for (const char* async : {"async=true", "async=false"})
    for (const char* policy : {"on_save_error=stop", "max_failed_saves=1"}) {
      const TemporaryFolder folder;
      const RunConfig config =
          tiny_run(folder, {"train_iters=80", "save_interval=4", "save_last=false", async, policy});
      const bool stop = policy[0] == 'o';
      try {
        train(config, 2);
        ADD_FAILURE() << policy;
      } catch (const Error& error) {
        EXPECT_EQ(error.exit_code(), ExitCode::kInputOutput) << error.what();
        const std::string expected = stop ? "(checkpoint.on_save_error: stop)"
                                          : "(failed saves in a row: 2; checkpoint.max_failed_saves: 1)";
        EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
      }
      const size_t steps = column(config, "loss").size();
      EXPECT_GE(steps, stop ? 4u : 8u);
      if (async[6] == 'f') {
        EXPECT_EQ(steps, stop ? 4u : 8u);
      }
    }
  ::testing::internal::GetCapturedStderr();
}

TEST_F(TrainerTest, ACheckpointKnowsTheValidationLossOfItsTime) {
  const RunConfig config = tiny_run(folder_, {"save_interval=6", "keep_last=1", "keep_best=2"});
  train(config);
  const auto losses = column(config, "validation_loss");  // of steps 4, 8 and 12
  const std::string checkpoints = config.training.output_dir + "/checkpoints/";
  EXPECT_EQ(validation_loss_of(read_training_state(checkpoints + "step-00000006")), losses.at(4));
  EXPECT_EQ(validation_loss_of(read_training_state(checkpoints + "step-00000012")), losses.at(12));
}

std::vector<std::string> steps_left(const RunConfig& config) {
  std::vector<std::string> steps;
  for (const auto& entry : std::filesystem::directory_iterator(config.training.output_dir + "/checkpoints"))
    if (entry.path().filename().string().starts_with("step-")) steps.push_back(entry.path().filename());
  std::sort(steps.begin(), steps.end());
  return steps;
}

TEST_F(TrainerTest, ARunThatNoLongerImprovesStopsEarlyAndKeepsItsBestCheckpoint) {
  // Without a learning rate the first evaluation stays the best.
  const RunConfig config = tiny_run(
      folder_, {"lr=0", "eval_interval=2", "early_stopping_patience=2", "save_interval=1", "keep_last=1"});
  EXPECT_EQ(train(config).code, ExitCode::kOk);
  EXPECT_EQ(column(config, "loss").size(), 6u);
  EXPECT_EQ(steps_left(config), (std::vector<std::string>{"step-00000002", "step-00000006"}));
  // The same command once more: nothing is left to do.
  EXPECT_EQ(train(config).code, ExitCode::kOk);
  EXPECT_EQ(column(config, "loss").size(), 6u);
}

TEST_F(TrainerTest, AStopDoesNotResetThePatience) {
  const RunConfig config = tiny_run(folder_, {"lr=0", "eval_interval=2", "early_stopping_patience=2",
                                              "save_interval=0", "checkpoint.keep_last=9"});
  EXPECT_EQ(train(config, 2, 5).code, ExitCode::kPreempted);
  EXPECT_EQ(early_stopping_of(read_training_state(config.training.output_dir + "/checkpoints/step-00000005")),
            (EarlyStoppingProgress{"validation_loss", column(config, "validation_loss").at(2), 2, 1}));
  EXPECT_EQ(train(config, 2).code, ExitCode::kOk);
  EXPECT_EQ(column(config, "loss").size(), 6u);
  // The best step was saved although no interval said so.
  EXPECT_EQ(steps_left(config),
            (std::vector<std::string>{"step-00000002", "step-00000005", "step-00000006"}));
}

TEST_F(TrainerTest, EarlyStoppingWithoutEvaluationIsRefused) {
  RunConfig config = tiny_run(folder_, {"early_stopping_patience=2", "data.validation_fraction=0"});
  EXPECT_THROW(train(config), ConfigError);
  config = tiny_run(folder_, {"early_stopping_patience=2", "early_stopping_metric=bleu"});
  EXPECT_THROW(Trainer(config, *std::make_unique<comm::LocalCommunicator>(), [] { return false; }),
               ConfigError);
}

TEST_F(TrainerTest, EvaluatingTheMovingAverageLeavesTrainingAsItIs) {
  for (const std::string dtype : {"fp32", "bf16"}) {
    const TemporaryFolder a, b, c, d;
    const std::vector<std::string> usual = {"dtype=" + dtype, "lr=2e-2", "init_method_std=0.5",
                                            "eval_iters=0"};
    std::vector<std::string> averaged = usual;
    averaged.insert(averaged.end(), {"ema_decay=0.9", "eval_ema=true"});
    const RunConfig plain = tiny_run(a, usual), ema = tiny_run(b, averaged);
    const Outcome expected = train(plain), given = train(ema);
    EXPECT_EQ(given.masters, expected.masters) << dtype;
    const auto losses = column(plain, "validation_loss"), of_average = column(ema, "validation_loss");
    EXPECT_NE(losses, of_average);
    const RunConfig parts = tiny_run(d, averaged);
    EXPECT_EQ(train(parts, 1, 5).code, ExitCode::kPreempted);
    train(parts);
    EXPECT_EQ(column(parts, "validation_loss"), of_average) << dtype;
    averaged.push_back("zero_stage=1");
    const RunConfig sharded = tiny_run(c, averaged);
    train(sharded, 2);
    for (const auto& [step, loss] : column(sharded, "validation_loss"))
      EXPECT_NEAR(loss, of_average.at(step), dtype == "fp32" ? 1e-5 : 2e-2) << dtype << ", step " << step;
  }
}

TEST_F(TrainerTest, AFailedSaveIsToldAndTrainingGoesOnButTheLastOneMustSucceed) {
  ::testing::internal::CaptureStderr();
  const RunConfig config = tiny_run(folder_, {"train_iters=4", "save_interval=2", "save_last=false"});
  {
    const FailingDisk disk;
    EXPECT_EQ(train(config, 2).code, ExitCode::kOk);
    EXPECT_EQ(column(config, "loss").size(), 4u);
    for (const int64_t stop_at : {-1, 3}) {  // at the end, and by a signal
      const TemporaryFolder folder;
      try {
        train(tiny_run(folder, {"train_iters=4"}), 2, stop_at);
        ADD_FAILURE() << stop_at;
      } catch (const Error& error) {
        EXPECT_EQ(error.exit_code(), ExitCode::kInputOutput) << error.what();
      }
    }
  }
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("training goes on without this checkpoint"), std::string::npos) << told;
  EXPECT_EQ(train(config, 2).code, ExitCode::kOk);  // nothing of the failed saves is in the way
}

TEST_F(TrainerTest, FewerValidationWindowsThanRanksCountOnceEach) {
  const TemporaryFolder data;
  const std::string prefix = (data.path() / "few").string();
  IndexedDatasetWriter writer(prefix, 48);
  std::vector<int32_t> tokens(22 * 16 + 1);  // of which 36 for validation: two windows
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * i % 47);
  writer.add_document(tokens);
  writer.commit();
  const std::vector<std::string> few = {"train_iters=1", "dtype=fp64", "eval_iters=0", "source=indexed",
                                        "data_path=[" + prefix + "]"};
  const RunConfig one = tiny_run(folder_, few), four = tiny_run(other_, few);
  train(one);
  train(four, 4);
  EXPECT_EQ(column(one, "validation_tokens").at(1), 32);
  EXPECT_EQ(column(four, "validation_tokens").at(1), 32);
  EXPECT_NEAR(column(one, "validation_loss").at(1), column(four, "validation_loss").at(1), 1e-12);
}

TEST_F(TrainerTest, RanksShareTheValidationWindows) {
  const RunConfig one = tiny_run(folder_, {"train_iters=1", "dtype=fp64", "eval_iters=0"});
  const RunConfig four = tiny_run(other_, {"train_iters=1", "dtype=fp64", "eval_iters=0"});
  train(one);
  train(four, 4);
  EXPECT_NEAR(column(one, "validation_loss").at(1), column(four, "validation_loss").at(1), 1e-12);
  EXPECT_EQ(column(one, "validation_tokens"), column(four, "validation_tokens"));
}

/// Documents of sentences of a tokenizer with 40 tokens, with a class each.
std::string write_sentences(const TemporaryFolder& folder, int num_sentences) {
  const std::string prefix = (folder.path() / fmt::format("sentences-{}", num_sentences)).string();
  IndexedDatasetWriter writer(prefix, 40);
  Labels labels{{"no", "yes"}, {}};
  for (int document = 0; document < 12; ++document) {
    for (int i = 0; i < num_sentences; ++i) {
      std::vector<int32_t> sentence(static_cast<size_t>(1 + (document * 7 + i * 5) % 6));
      for (size_t t = 0; t < sentence.size(); ++t)
        sentence[t] = static_cast<int32_t>(
            5 + (static_cast<size_t>(document) * 11 + t * 3 + static_cast<size_t>(i)) % 35);
      writer.add_sequence(sentence);
    }
    writer.end_document();
    labels.labels.push_back(document % 2);
  }
  writer.commit();
  write_labels(labels_path(prefix), labels);
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (int i = 5; i < 40; ++i) vocabulary += fmt::format("w{}\n", i);
  folder.write(fmt::format("sentences-{}-tokenizer/vocab.txt", num_sentences), vocabulary);
  return prefix;
}

TEST_F(TrainerTest, PaddingAndLayoutDoNotChangeWhatAnyObjectiveLearns) {
  using Options = std::vector<std::string>;
  const std::vector<Options> objectives = {
      {"model.family=bert", "data.source=indexed", "data.data_path=[" + write_sentences(folder_, 9) + "]",
       "data.validation_fraction=0.3"},
      {"model.family=bert", "model.num_classes=2", "data.source=indexed", "data.length_bucket=8",
       "data.data_path=[" + write_sentences(folder_, 2) + "]", "data.validation_fraction=0.3"},
      {"model.family=transformer"}};
  const Options common = {"precision.dtype=fp64", "train_iters=3", "eval_interval=3", "eval_iters=0",
                          "peak_tflops=0"};
  for (const Options& objective : objectives) {
    const TemporaryFolder one_folder, two_folder;
    const auto run = [&](const TemporaryFolder& folder, int num_ranks, const Options& more) {
      Options options = common;
      options.insert(options.end(), objective.begin(), objective.end());
      options.insert(options.end(), more.begin(), more.end());
      const RunConfig config = tiny_run(folder, options);
      EXPECT_EQ(train(config, num_ranks).code, ExitCode::kOk);
      return config;
    };
    const RunConfig one = run(one_folder, 1, {"micro_batch_size=8"});
    const RunConfig two = run(two_folder, 2, {"micro_batch_size=2", "pad_to_seq_length=true"});
    for (const char* key : {"loss", "grad_norm", "validation_loss"}) {
      const auto expected = column(one, key), actual = column(two, key);
      ASSERT_EQ(actual.size(), expected.size());
      ASSERT_FALSE(expected.empty());
      for (const auto& [step, value] : expected)
        EXPECT_NEAR(actual.at(step), value, 1e-9 * value)
            << objective[0] << ", " << key << " of step " << step;
    }
    EXPECT_LE(column(one, "tokens").at(3), column(two, "tokens").at(3));
    for (const char* key : {"mfu", "tflops"})  // nobody knows how many operations a padded token costs
      EXPECT_TRUE(metrics_of(one).front()[key].is_null()) << key;
  }
}

}  // namespace
}  // namespace trireme
