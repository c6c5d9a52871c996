#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "launcher/train/console.h"
#include "launcher/train/crc32c.h"
#include "launcher/train/metrics_file.h"
#include "launcher/train/step_report.h"
#include "launcher/train/telemetry.h"
#include "launcher/train/tensorboard.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using testing::read_file;
using testing::TemporaryFolder;

TEST(Crc32c, MatchesThePublishedVectors) {
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
}

/// Cuts TFRecords, checking both checksums of each.
std::vector<std::string> read_records(const std::string& bytes) {
  std::vector<std::string> records;
  size_t at = 0;
  const auto word = [&](size_t position) {
    uint32_t value;
    std::memcpy(&value, bytes.data() + position, 4);
    return value;
  };
  while (at < bytes.size()) {
    uint64_t length;
    std::memcpy(&length, bytes.data() + at, 8);
    EXPECT_EQ(word(at + 8), masked_crc32c(bytes.substr(at, 8)));
    records.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(word(at + 12 + length), masked_crc32c(records.back()));
    at += 16 + length;
  }
  return records;
}

TEST(TensorBoard, EventFilesReadBack) {
  const TemporaryFolder folder;
  TensorBoardWriter writer((folder.path() / "tensorboard").string(), 0);
  writer.write(1, {{"train/loss", 2.5}, {"train/lr", 0.5}});
  writer.write(300, {{"train/loss", 1.25}});
  EXPECT_NE(writer.path().find("/events.out.tfevents."), std::string::npos);
  const std::vector<std::string> records = read_records(read_file(writer.path()));
  ASSERT_EQ(records.size(), 4u);
  // Field numbers and wire types of TensorBoard's event.proto by hand: wall_time is 8 bytes after the tag
  // 0x09.
  EXPECT_EQ(records[0][0], '\x09');
  EXPECT_EQ(records[0].substr(9), std::string("\x1a\x0d") + "brain.Event:2");
  const std::string loss("\x0a\x11\x0a\x0atrain/loss\x15\x00\x00\x20\x40", 19);  // 2.5f
  EXPECT_EQ(records[1].substr(9), std::string("\x10\x01\x3a\x02\x08\x01"));      // a start at step 1
  EXPECT_EQ(records[2].substr(9, 2), std::string("\x10\x01"));                   // step 1
  EXPECT_NE(records[2].find(loss), std::string::npos);
  EXPECT_EQ(records[3].substr(9, 3), std::string("\x10\xac\x02"));  // step 300
}

TEST(MetricsFile, ResumingCutsBackToTheStep) {
  const TemporaryFolder folder;
  const std::string path =
      folder
          .write("metrics.jsonl",
                 "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n{\"step\":2,\"validation_loss\":2}\n"
                 "{\"step\":3,\"loss\":1}\n{\"step\":4,\"lo")
          .string();
  MetricsFile(path, 2).write("{\"step\":3,\"loss\":1.5}");
  EXPECT_EQ(read_file(path),
            "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n{\"step\":2,\"validation_loss\":2}\n"
            "{\"step\":3,\"loss\":1.5}\n");
  MetricsFile(path, 0);
  EXPECT_EQ(read_file(path), "");
}

TEST(MetricsFile, CutsAPartialLastLineAndLinesThatAreNoMetrics) {
  const TemporaryFolder folder;
  const std::string path = folder.write("metrics.jsonl", "{\"step\":1}\ngarbage\n[]\n{\"step\":2}").string();
  MetricsFile(path, 10).write("{\"step\":2}");
  EXPECT_EQ(read_file(path), "{\"step\":1}\n{\"step\":2}\n");
}

TEST(MetricsFile, AFolderThatIsMissingIsAnErrorThatNamesTheFile) {
  try {
    MetricsFile("/nowhere/metrics.jsonl", 0);
    FAIL();
  } catch (const IoError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kCannotCreate);
    EXPECT_STREQ(error.what(),
                 "/nowhere/metrics.jsonl: the file cannot be opened for writing: No such file or directory");
  }
}

TEST(Telemetry, AnEvaluationSaysWhatWasCounted) {
  const TemporaryFolder folder;
  RunConfig config;
  config.training.output_dir = folder.path().string();
  EvaluationResult result{.loss = 2.5};
  result.losses[LossTerm::kSamples] = {2.0, 8, 6};
  const auto line = [&] {
    ::testing::internal::CaptureStdout();
    Telemetry(config, 0).evaluation(7, result, 2);
    return ::testing::internal::GetCapturedStdout();
  };
  EXPECT_NE(line().find("sample accuracy 75.0 %  (8 samples in 2 s)"), std::string::npos) << line();
  result.losses[LossTerm::kTokens] = {6.0, 4, 1};
  EXPECT_NE(line().find("(4 tokens, 8 samples in 2 s)"), std::string::npos) << line();
}

TEST(StepReport, AnEvaluationTellsTheAccuraciesOfWhatItCounted) {
  EvaluationResult result{.loss = 2.5};
  result.losses[LossTerm::kTokens] = {6.0, 4, 1};
  const auto line = [&] { return nlohmann::json::parse(evaluation_json(7, result, 0.5)); };
  EXPECT_EQ(line()["validation_loss"], 2.5);
  EXPECT_EQ(line()["validation_tokens"], 4);
  EXPECT_EQ(line()["validation_token_accuracy"], 0.25);
  EXPECT_FALSE(line().contains("validation_sample_accuracy"));
  EXPECT_DOUBLE_EQ(*perplexity_of(result), std::exp(1.5));  // of the tokens alone

  result.losses[LossTerm::kTokens] = {};
  result.losses[LossTerm::kSamples] = {2.0, 8, 6};
  EXPECT_FALSE(line().contains("validation_token_accuracy"));
  EXPECT_EQ(line()["validation_sample_accuracy"], 0.75);
  EXPECT_EQ(perplexity_of(result), std::nullopt);
  EXPECT_EQ(metrics_of(result), (std::map<std::string, double>{{"validation_loss", 2.5},
                                                               {"validation_token_accuracy", 0},
                                                               {"validation_sample_accuracy", 0.75}}));
}

TEST(StepReport, IsOneLineOfJsonWithEveryKey) {
  StepReport report;
  report.step = 3;
  report.loss = std::nan("");
  report.tokens = 1000;
  report.mfu = 0.5;
  report.memory_by_category[0] = 12;
  report.phases = {{"data", 0.5}};
  const std::string text = to_json(report);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const nlohmann::json line = nlohmann::json::parse(text);
  for (const char* key :
       {"step", "loss", "lr", "grad_norm", "tokens", "tokens_per_second", "step_seconds", "mfu", "mfu_causal",
        "tflops", "memory", "memory_by_category", "communication", "waiting", "phases"})
    EXPECT_TRUE(line.contains(key)) << key;
  EXPECT_FALSE(line.contains("disagreement"));
  report.disagreement = -0.25;
  EXPECT_EQ(nlohmann::json::parse(to_json(report))["disagreement"], -0.25);
  EXPECT_TRUE(line["loss"].is_null());  // JSON has no NaN
  EXPECT_EQ(line["mfu"], 0.5);
  EXPECT_TRUE(line["mfu_causal"].is_null());
  EXPECT_EQ(line["memory_by_category"]["weights"], 12);
  EXPECT_EQ(line["phases"]["data"], 0.5);
}

TEST(SaveReport, SaysWhatASaveCost) {
  SaveReport report;
  report.step = 20;
  report.stall_seconds = 0.25;
  report.snapshot_seconds = 0.5;
  report.write_seconds = 2;
  report.commit_seconds = 3;
  report.tensor_bytes = int64_t{1} << 30;
  report.file_bytes = int64_t{2} << 30;
  report.replica_bytes = 4096;
  report.num_skipped = 2;
  EXPECT_EQ(
      save_line(report),
      "step 20  checkpoint saved in 3.00 s: 2.0 GiB, training stalled 0.250 s, copied at 2.0 GiB/s, written "
      "at 1.0 GiB/s, 4.0 KiB of replicas spared, 2 skipped so far");
  EXPECT_EQ(nlohmann::json::parse(save_json(report)),
            nlohmann::json::parse(R"({"step": 20, "checkpoint": {"stall_seconds": 0.25, "commit_seconds": 3.0,
              "snapshot_bytes_per_second": 2147483648.0, "write_bytes_per_second": 1073741824.0,
              "bytes": 2147483648, "replica_bytes": 4096, "skipped_saves": 2}})"));
  report.snapshot_seconds = 0;  // training waited
  report.replica_bytes = report.num_skipped = 0;
  EXPECT_EQ(save_line(report),
            "step 20  checkpoint saved in 3.00 s: 2.0 GiB, training stalled 0.250 s, written at 1.0 GiB/s");
  EXPECT_TRUE(nlohmann::json::parse(save_json(report))["checkpoint"]["snapshot_bytes_per_second"].is_null());
  report.error = CheckpointError("no room");
  EXPECT_EQ(save_json(report), R"({"step":20,"checkpoint":{"error":"no room"}})");
}

}  // namespace
}  // namespace trireme
