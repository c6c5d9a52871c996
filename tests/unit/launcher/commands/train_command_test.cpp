// The command itself, from a run file to files on disk.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ProgramResult;
using testing::read_file;
using testing::run_program;
using testing::TemporaryFolder;

constexpr const char* kRun =
    "model: {num_layers: 1, hidden_size: 16, num_attention_heads: 2, vocab_size: 64}\n"
    "data: {source: synthetic, seq_length: 16}\n"
    "training: {train_iters: 6, micro_batch_size: 2, global_batch_size: 4, num_threads: 1, peak_tflops: 1,\n"
    "           log_interval: 1}\n"
    "optimizer: {lr: 1e-3}\n";

std::vector<json> metrics_of(const fs::path& output) {
  std::istringstream text(read_file(output / "metrics.jsonl"));
  std::vector<json> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
  return lines;
}

std::vector<double> losses_of(const fs::path& output) {
  std::vector<double> losses;
  for (const json& line : metrics_of(output))
    if (line.contains("loss")) losses.push_back(line["loss"]);
  return losses;
}

ProgramResult trireme(const TemporaryFolder& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), testing::trireme_binary());
  return run_program(arguments, folder.path());
}

TEST(TrainCommand, SaysWhatItDoesAndEvaluatesToTheSameLossAfterwards) {
  const TemporaryFolder folder;
  folder.write("run.yaml", kRun);
  const ProgramResult result = trireme(folder, {"train", "run.yaml"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  for (const char* text :
       {"ranks: 1 on 1 host, 1 thread each, ", "model: ", "memory of a rank, predicted: ",
        "batch: 1 rank x 2 micro-batches x 2 samples = 4 samples = 64 tokens a step\n", "starts at step 0\n",
        "step 6/6  loss ", "validation loss ", "checkpoint saved in", "done: step 6, "})
    EXPECT_NE(result.out.find(text), std::string::npos) << text << "\n" << result.out;
  EXPECT_EQ(losses_of(folder.path() / "runs/run").size(), 6u);

  const ProgramResult evaluated = trireme(folder, {"evaluate", "runs/run"});
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.error;
  const json answer = json::parse(evaluated.out);
  const std::vector<json> lines = metrics_of(folder.path() / "runs/run");
  const json& last = lines.at(lines.size() - 2);  // the save follows the evaluation
  EXPECT_EQ(answer["validation_loss"], last["validation_loss"]);
  EXPECT_EQ(answer["tokens"], last["validation_tokens"]);
  EXPECT_EQ(answer["token_accuracy"], last["validation_token_accuracy"]);
  EXPECT_NEAR(answer["perplexity"], std::exp(answer["validation_loss"].get<double>()), 1e-9);
  EXPECT_EQ(lines.back()["step"], 6);
  EXPECT_GT(lines.back()["checkpoint"]["bytes"], 0);
  EXPECT_EQ(answer["step"], 6);
}

TEST(TrainCommand, TheMovingAverageOfACheckpointEvaluatesToTheLossOfTheRun) {
  const TemporaryFolder folder;
  folder.write("run.yaml", kRun);
  const ProgramResult trained =
      trireme(folder, {"train", "run.yaml", "--set", "lr=0.05", "--set", "ema_decay=0.7", "--set",
                       "eval_ema=true", "--set", "save_interval=2", "--set", "checkpoint.async=false"});
  ASSERT_EQ(trained.exit_code, 0) << trained.error;
  double expected = 0;
  for (const json& line : metrics_of(folder.path() / "runs/run"))
    if (line.contains("validation_loss")) expected = line["validation_loss"];

  const ProgramResult averaged =
      trireme(folder, {"checkpoint", "average", "runs/run", "--ema", "--output", "runs/ema"});
  ASSERT_EQ(averaged.exit_code, 0) << averaged.error;
  EXPECT_EQ(averaged.out, "runs/ema: the mean of moving averages\n  runs/run/checkpoints/step-00000006\n");
  const ProgramResult evaluated = trireme(folder, {"evaluate", "runs/ema"});
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.error;
  EXPECT_NEAR(json::parse(evaluated.out)["validation_loss"], expected, 1e-6);

  const ProgramResult of_run = trireme(folder, {"evaluate", "runs/run", "--ema"});
  ASSERT_EQ(of_run.exit_code, 0) << of_run.error;
  EXPECT_NEAR(json::parse(of_run.out)["validation_loss"], expected, 1e-6);
  const ProgramResult weights = trireme(folder, {"evaluate", "runs/run"});
  EXPECT_GT(std::abs(json::parse(weights.out)["validation_loss"].get<double>() - expected), 1e-6);
  std::string vocabulary = "[UNK]\n";
  for (int i = 1; i < 64; ++i) vocabulary += fmt::format("w{}\n", i);
  folder.write("words/vocab.txt", vocabulary);
  const auto generated = [&](const std::string& run, const std::vector<std::string>& more) {
    std::vector<std::string> command = {"generate", run,        "--tokenizer",  "words", "--prompt",
                                        "w3",       "--greedy", "--max-tokens", "12"};
    command.insert(command.end(), more.begin(), more.end());
    const ProgramResult text = trireme(folder, command);
    EXPECT_EQ(text.exit_code, 0) << text.error;
    return text.out;
  };
  EXPECT_EQ(generated("runs/run", {"--ema"}), generated("runs/ema", {}));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"evaluate", "runs/ema", "--ema"},
        {"generate", "runs/ema", "--ema", "--tokenizer", "words", "--prompt", "w3"}}) {
    const ProgramResult without = trireme(folder, command);
    EXPECT_EQ(without.exit_code, 65);
    EXPECT_NE(without.error.find("holds no moving averages of the weights"), std::string::npos)
        << without.error;
  }

  const ProgramResult last =
      trireme(folder, {"checkpoint", "average", "runs/run", "--last", "3", "--output", "runs/mean"});
  EXPECT_EQ(last.exit_code, 0) << last.error;
  const ProgramResult mean = trireme(folder, {"evaluate", "runs/mean"});
  EXPECT_EQ(mean.exit_code, 0) << mean.error;
  EXPECT_GT(std::abs(json::parse(mean.out)["validation_loss"].get<double>() - expected), 1e-6);
  EXPECT_EQ(
      trireme(folder, {"checkpoint", "average", "runs/run", "--last", "9", "--output", "runs/x"}).exit_code,
      65);
  EXPECT_EQ(
      trireme(folder, {"checkpoint", "average", "runs/run", "runs/ema", "--last", "2", "--output", "runs/x"})
          .exit_code,
      64);
  EXPECT_EQ(trireme(folder, {"checkpoint", "average", "runs/run", "--output", "runs/mean"}).exit_code, 73);
}

TEST(TrainCommand, RunningStatisticsAreInCheckpointsAndInTheirAverages) {
  const TemporaryFolder folder;
  folder.write("run.yaml", kRun);
  const ProgramResult trained = trireme(
      folder, {"train", "run.yaml", "--set", "normalization=BatchNorm", "--set", "batch_norm_momentum=0.5",
               "--set", "lr=0.05", "--set", "ema_decay=0.7", "--set", "eval_ema=true"});
  ASSERT_EQ(trained.exit_code, 0) << trained.error;
  double expected = 0;
  for (const json& line : metrics_of(folder.path() / "runs/run"))
    if (line.contains("validation_loss")) expected = line["validation_loss"];
  ASSERT_EQ(trireme(folder, {"checkpoint", "average", "runs/run", "--ema", "--output", "runs/ema"}).exit_code,
            0);
  const ProgramResult averaged = trireme(folder, {"evaluate", "runs/ema"});
  ASSERT_EQ(averaged.exit_code, 0) << averaged.error;
  EXPECT_NEAR(json::parse(averaged.out)["validation_loss"], expected, 1e-6);
  const ProgramResult last = trireme(folder, {"evaluate", "runs/run"});
  ASSERT_EQ(last.exit_code, 0) << last.error;
  EXPECT_GT(std::abs(json::parse(last.out)["validation_loss"].get<double>() - expected), 1e-6);
}

TEST(EvaluateCommand, GivesTheScoresOfAClassifier) {
  const TemporaryFolder folder;
  folder.write(
      "run.yaml",
      "model: {family: bert, num_layers: 1, hidden_size: 16, num_attention_heads: 2, vocab_size: 64,\n"
      "        num_classes: 3}\n"
      "data: {source: synthetic, seq_length: 16}\n"
      "training: {train_iters: 2, micro_batch_size: 2, num_threads: 1}\n");
  ASSERT_EQ(trireme(folder, {"train", "run.yaml"}).exit_code, 0);
  const ProgramResult evaluated = trireme(folder, {"evaluate", "runs/run"});
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.error;
  const json answer = json::parse(evaluated.out);
  EXPECT_EQ(answer["micro"]["f1"], answer["sample_accuracy"]);
  ASSERT_EQ(answer["classes"].size(), 3u);
  EXPECT_EQ(answer["classes"][1]["name"], "1");
  double recall = 0;
  for (const json& one : answer["classes"]) recall += one["recall"].get<double>() / 3;
  EXPECT_NEAR(answer["macro"]["recall"], recall, 1e-12);
}

TEST(BleuCommand, PrintsTheScoreOfSacrebleuWithItsSignature) {
  const TemporaryFolder folder;
  folder.write("reference", "The cat sat on the mat.\nA dog barks, twice!\n");
  folder.write("hypothesis", "the cat sat on a mat.\nA dog barks twice!\n");
  // sacrebleu 2.6.0 gives the same line but for its version.
  const ProgramResult cased =
      trireme(folder, {"bleu", "--reference", "reference", "--hypothesis", "hypothesis"});
  EXPECT_EQ(cased.exit_code, 0) << cased.error;
  EXPECT_EQ(cased.out,
            "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp = 30.10 91.7/60.0/25.0/8.3 (BP = 0.920 ratio "
            "= 0.923 hyp_len = 12 ref_len = 13)\n");
  const ProgramResult lower =
      trireme(folder, {"bleu", "--reference", "reference", "--reference", "reference", "--hypothesis",
                       "hypothesis", "--lowercase", "--tokenize", "none"});
  EXPECT_EQ(lower.out,
            "BLEU|nrefs:2|case:lc|eff:no|tok:none|smooth:exp = 42.73 80.0/50.0/33.3/25.0 (BP = 1.000 ratio = "
            "1.000 hyp_len = 10 ref_len = 10)\n");

  folder.write("short", "one line\n");
  const ProgramResult uneven =
      trireme(folder, {"bleu", "--reference", "short", "--hypothesis", "hypothesis"});
  EXPECT_EQ(uneven.exit_code, 65);
  EXPECT_NE(uneven.error.find("'short' has 1 lines, 'hypothesis' has 2"), std::string::npos) << uneven.error;
  folder.write("latin",
               "Stra\xDF"
               "e\nb\n");
  const ProgramResult latin = trireme(folder, {"bleu", "--reference", "latin", "--hypothesis", "hypothesis"});
  EXPECT_EQ(latin.exit_code, 65);
  EXPECT_NE(latin.error.find("line 1: text for BLEU: byte"), std::string::npos) << latin.error;
  EXPECT_EQ(trireme(folder, {"bleu", "--reference", "absent", "--hypothesis", "hypothesis"}).exit_code, 74);
}

TEST(TrainCommand, ASignalSavesExits75AndTheSameCommandGoesOn) {
  for (const int signal : {SIGUSR1, SIGTERM}) {
    const TemporaryFolder folder;
    folder.write("run.yaml", kRun);
    const std::string start =
        testing::trireme_binary() + " train run.yaml --set train_iters=100000 & pid=$!; ";
    const std::string wait_for_a_step = "while [ ! -s runs/run/metrics.jsonl ]; do sleep 0.01; done; ";
    const std::string stop = "kill -" + std::to_string(signal) + " $pid; wait $pid";
    const ProgramResult stopped = run_program({"bash", "-c", start + wait_for_a_step + stop}, folder.path());
    EXPECT_EQ(stopped.exit_code, 75) << stopped.error;
    EXPECT_NE(stopped.out.find("stopped by a signal after step "), std::string::npos);
    const size_t steps = losses_of(folder.path() / "runs/run").size();
    EXPECT_GE(steps, 1u);
    const ProgramResult resumed =
        trireme(folder, {"train", "run.yaml", "--set", "train_iters=" + std::to_string(steps + 2)});
    EXPECT_EQ(resumed.exit_code, 0) << resumed.error;
    EXPECT_NE(resumed.out.find("resumed from the checkpoint of step " + std::to_string(steps) + "\n"),
              std::string::npos);
    EXPECT_EQ(losses_of(folder.path() / "runs/run").size(), steps + 2);
  }
}

TEST(TrainCommand, ADiskThatHangsEndsTheRunThoughItsWriterNeverReturns) {
  const TemporaryFolder folder;
  folder.write("run.yaml", kRun);
  const ProgramResult result = run_program({"timeout", "--signal=KILL", "300", testing::trireme_binary(),
                                            "train", "run.yaml", "--set", "save_timeout_seconds=1"},
                                           folder.path(), {{"TRIREME_FAULT", "index:0:delay=1000"}});
  EXPECT_EQ(result.exit_code, 124) << result.error;
  EXPECT_NE(result.error.find("the checkpoint of step 6 is not saved after 1 s: rank 0 on "),
            std::string::npos)
      << result.error;
  EXPECT_NE(result.error.find(" is still committing. A disk hangs or is very slow"), std::string::npos);
  EXPECT_EQ(trireme(folder, {"train", "run.yaml"}).exit_code, 0);
}

TEST(TrainCommand, TextBecomesADataSetAModelAndTextAgain) {
  const TemporaryFolder folder;
  folder.write("run.yaml", kRun);
  std::string text;
  for (int i = 0; i < 200; ++i) text += "the quick brown fox jumps over the lazy dog\n";
  folder.write("book.txt", text);
  folder.write("text.yaml",
               "includes: [run.yaml]\nmodel: {vocab_size: 0}\ndata: {source: indexed, data_path: [book]}\n"
               "training: {train_iters: 60}\noptimizer: {lr: 1e-2}\n");
  const ProgramResult prepared = trireme(
      folder, {"prepare", "--input", "book.txt", "--train-tokenizer", "character", "--output", "book"});
  ASSERT_EQ(prepared.exit_code, 0) << prepared.error;
  EXPECT_EQ(trireme(folder, {"config", "check", "text.yaml"}).exit_code, 0);
  const ProgramResult trained = trireme(folder, {"train", "text.yaml"});
  ASSERT_EQ(trained.exit_code, 0) << trained.error;
  const std::vector<double> losses = losses_of(folder.path() / "runs/text");
  EXPECT_LT(losses.back(), losses.front() - 0.5);

  const std::vector<std::string> generate = {"generate",     "runs/text", "--prompt", "the ",
                                             "--max-tokens", "20",        "--greedy"};
  const ProgramResult first = trireme(folder, generate), second = trireme(folder, generate);
  EXPECT_EQ(first.exit_code, 0) << first.error;
  EXPECT_EQ(first.out.size(), 4u + 20u + 1u) << first.out;
  EXPECT_EQ(first.out.substr(0, 4), "the ");
  EXPECT_EQ(first.out, second.out);
  const ProgramResult from_run_file = trireme(
      folder, {"generate", "text.yaml", "--prompt", "the ", "--max-tokens", "20", "--temperature", "0"});
  EXPECT_EQ(from_run_file.out, first.out);
}

TEST(TrainCommand, GoesOnWhenTheReaderOfItsConsoleGoesAway) {
  const TemporaryFolder folder;
  folder.write("run.yaml", kRun);
  const std::string train = testing::trireme_binary() + " train run.yaml --set train_iters=500";
  const ProgramResult piped =
      run_program({"bash", "-c", train + " | head -n 1; exit ${PIPESTATUS[0]}"}, folder.path());
  EXPECT_EQ(piped.exit_code, 0) << piped.error;
  EXPECT_EQ(losses_of(folder.path() / "runs/run").size(), 500u);
}

TEST(TrainCommand, ClosedStreamsLeaveTheFilesOfTheRunAlone) {
  const TemporaryFolder folder;
  folder.write("run.yaml", kRun);
  const std::string train = testing::trireme_binary() + " train run.yaml <&- >&- 2>&-";
  EXPECT_EQ(run_program({"bash", "-c", train}, folder.path()).exit_code, 0);
  EXPECT_EQ(losses_of(folder.path() / "runs/run").size(), 6u);
  EXPECT_EQ(trireme(folder, {"checkpoint", "verify", "runs/run"}).exit_code, 0);
  const ProgramResult again = trireme(folder, {"train", "run.yaml"});
  EXPECT_NE(again.out.find("nothing is left to do: training.train_iters is 6\n"), std::string::npos);
  const ProgramResult newest = trireme(folder, {"checkpoint", "inspect", "runs/run"});
  EXPECT_EQ(newest.out.find("runs/run/checkpoints/step-00000006\n"), 0u) << newest.out << newest.error;
}

TEST(Commands, OutputThatCannotBePrintedIsAnError) {
  const TemporaryFolder folder;
  const ProgramResult result =
      run_program({"bash", "-c", testing::trireme_binary() + " config docs > /dev/full"}, folder.path());
  EXPECT_EQ(result.exit_code, 74);
  EXPECT_EQ(result.error, "trireme: error: standard output: writing failed; is there space left?\n");
}

TEST(Commands, TokenizeRefusesWhatIsNoTextAndNoIds) {
  const TemporaryFolder folder;
  folder.write("text.txt", "some text");
  ASSERT_EQ(
      trireme(folder, {"prepare", "--input", "text.txt", "--train-tokenizer", "character", "--output", "t"})
          .exit_code,
      0);
  const std::string tokenize = testing::trireme_binary() + " tokenize --tokenizer t-tokenizer";
  EXPECT_EQ(run_program({"bash", "-c", tokenize + " < ."}, folder.path()).exit_code, 74);
  const std::string deep = std::string(1000000, '[') + std::string(1000000, ']') + "\n";
  const ProgramResult nested =
      run_program({testing::trireme_binary(), "tokenize", "--tokenizer", "t-tokenizer", "--decode"},
                  folder.path(), {}, deep);
  EXPECT_EQ(nested.exit_code, 65);
  EXPECT_EQ(nested.error, "trireme: error: standard input, line 1: array is no token id\n");
}

TEST(Commands, VersionAndHelpTellWhatAPersonAsksFirst) {
  const TemporaryFolder folder;
  const ProgramResult version = trireme(folder, {"--version"});
  EXPECT_EQ(version.exit_code, 0);
  for (const char* text : {"trireme 0.", "commit ", "compiler: ", "oneDNN ", "HDF5 ", "Open MPI",
                           "yaml-cpp 0.", "Highway ", "instruction set: "})
    EXPECT_NE(version.out.find(text), std::string::npos) << text;
  const ProgramResult help = trireme(folder, {"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* text : {"prepare", "tokenize", "train", "evaluate", "generate", "config", "checkpoint",
                           "doctor", "Examples:"})
    EXPECT_NE(help.out.find(text), std::string::npos) << text;
}

TEST(Commands, TheDoctorAnswersInTextAndJson) {
  const TemporaryFolder folder;
  const ProgramResult text = trireme(folder, {"doctor"});
  EXPECT_EQ(text.exit_code, 0) << text.error;
  EXPECT_NE(text.out.find("instruction set"), std::string::npos);
  const json answer = json::parse(trireme(folder, {"doctor", "--json"}).out);
  EXPECT_GE(answer["checks"].size(), 9u);
  for (const json& check : answer["checks"])
    EXPECT_TRUE(check["status"] == "ok" || check["status"] == "warn");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Commands, EveryRunFileOfTheRepositoryIsSound) {
  const fs::path configs = fs::path(testing::test_folder()).parent_path() / "configs";
  const TemporaryFolder folder;
  int checked = 0;
  for (const auto& entry : fs::recursive_directory_iterator(configs)) {
    if (entry.path().extension() != ".yaml") continue;
    // Data sets are made later; the rest of a file must hold, layouts on 8 ranks.
    const bool layout =
        entry.path().parent_path().filename() == "parallel" || entry.path().filename() == "three-banks.yaml";
    std::vector<std::string> command = {"config",
                                        "check",
                                        entry.path().string(),
                                        "--ranks",
                                        layout ? "8" : "1",
                                        "--set",
                                        "data.source=synthetic",
                                        "--set",
                                        "data_path=[]",
                                        "--set",
                                        "vocab_size=50304",
                                        "--set",
                                        "valid_data_path=[]"};
    if (entry.path().parent_path().filename() == "models")  // which may read less than the usual windows
      command.insert(command.end(), {"--set", "seq_length=64"});
    const ProgramResult result = trireme(folder, command);
    EXPECT_EQ(result.exit_code, 0) << entry.path() << "\n" << result.error;
    ++checked;
  }
  EXPECT_GE(checked, 27);
}

}  // namespace
}  // namespace trireme
