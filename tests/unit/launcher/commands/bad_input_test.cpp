// What a user can get wrong, through the real command: message and exit code exactly, and nothing is written.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/data/indexed_dataset_writer.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using testing::ProgramResult;
using testing::read_file;
using testing::run_program;
using testing::TemporaryFolder;

constexpr const char* kRun =
    "model: {num_layers: 1, hidden_size: 16, num_attention_heads: 2, vocab_size: 64}\n"
    "data: {source: synthetic, seq_length: 16}\n"
    "training: {train_iters: 2, micro_batch_size: 2, num_threads: 1, peak_tflops: 1}\n"
    "optimizer: {lr: 1e-3}\n";

constexpr const char* kIndexed =
    "includes: [run.yaml]\n"
    "data: {source: indexed, data_path: [text]}\n";

ProgramResult trireme(const TemporaryFolder& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), testing::trireme_binary());
  return run_program(arguments, folder.path());
}

void write_run_files(const TemporaryFolder& folder) {
  folder.write("run.yaml", kRun);
  folder.write("indexed.yaml", kIndexed);
}

/// The data set `text` with the ids 0 to `largest_id`, again and again.
void make_data(const TemporaryFolder& folder, int32_t largest_id) {
  IndexedDatasetWriter writer((folder.path() / "text").string(), 1000);
  std::vector<int32_t> ids(400);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i) % (largest_id + 1);
  writer.add_document(ids);
  writer.commit();
}

struct Case {
  const char* name;
  std::vector<std::string> arguments;
  int exit_code;
  const char* message;
};

class BadInput : public ::testing::TestWithParam<Case> {};

TEST_P(BadInput, IsRefusedWithItsMessageAndNothingIsWritten) {
  const Case& wrong = GetParam();
  const TemporaryFolder folder;
  write_run_files(folder);
  folder.write("typo.yaml", "model:\n  num_layer: 2\ntraining:\n  seed: abc\n");
  folder.write("empty/readme", "");
  folder.write("hostile/config.json",
               R"({"model_type":"gpt2","n_layer":1,"n_embd":4,"n_head":1,"n_positions":4,"vocab_size":4})");
  folder.write("hostile/model.safetensors", std::string("\0\0\0\0\0\0\x10\0", 8));  // 4 PiB
  const ProgramResult result = trireme(folder, wrong.arguments);
  EXPECT_EQ(result.error, std::string("trireme: error: ") + wrong.message + "\n");
  EXPECT_EQ(result.exit_code, wrong.exit_code);
  EXPECT_EQ(result.out, "");
  EXPECT_FALSE(fs::exists(folder.path() / "runs"));
}

INSTANTIATE_TEST_SUITE_P(
    Commands, BadInput,
    ::testing::Values(
        Case{"NoCommand", {}, 64, "A subcommand is required; `trireme --help` shows what there is"},
        Case{"MisspeltCommand", {"trian", "run.yaml"}, 64, "trian: no such command; did you mean train?"},
        Case{"MisspeltCommandOfACommand",
             {"config", "chekc"},
             64,
             "chekc: no such command; did you mean check?"},
        Case{"NoRunFile", {"train"}, 64, "RUN is required; `trireme --help` shows what there is"},
        Case{"UnknownOption",
             {"train", "run.yaml", "--fast"},
             64,
             "The following argument was not expected: --fast; `trireme --help` shows what there is"},
        Case{"MissingFile",
             {"train", "missing.yaml"},
             64,
             "missing.yaml: no such file; give the path of a run file"},
        Case{"UnknownKeyAndWrongType",
             {"train", "typo.yaml"},
             64,
             "2 problems in the configuration:\n"
             "  typo.yaml:2:3: model.num_layer: unknown key; did you mean model.num_layers?\n"
             "  typo.yaml:4:9: training.seed: given abc, expected an integer >= 0"},
        Case{"KeyOfAnotherSection",
             {"train", "run.yaml", "--set", "model.seq_length=3"},
             64,
             "--set model.seq_length=3: model.seq_length: unknown key; did you mean data.seq_length?"},
        Case{"OutOfRange",
             {"train", "run.yaml", "--set", "hidden_dropout=1"},
             64,
             "--set hidden_dropout=1: model.hidden_dropout: given 1, expected a number from 0 to 0.999 "
             "(probability)"},
        Case{"BatchThatDoesNotDivide",
             {"train", "run.yaml", "--set", "global_batch_size=5"},
             64,
             "training.global_batch_size 5 is not a multiple of micro_batch_size 2 x 1 data-parallel ranks = "
             "2; the "
             "nearest that work: 4 and 6"},
        Case{"HeadsThatDoNotDivide",
             {"config", "check", "run.yaml", "--set", "num_attention_heads=3"},
             64,
             "model.hidden_size 16 is not a multiple of model.num_attention_heads 3; choose one that is, or "
             "set "
             "model.kv_channels"},
        Case{"LayoutOfALaterVersion",
             {"config", "check", "run.yaml", "--ranks", "2", "--set", "context_parallel_size=2"},
             64,
             "parallel.context_parallel_size = 2 is not available in this version; set it to 1"},
        Case{"MoreThreadsThanAnyHostHas",
             {"train", "run.yaml", "--set", "num_threads=100000"},
             64,
             "--set num_threads=100000: training.num_threads: given 100000, expected an integer from 0 to "
             "1024 "
             "(threads)"},
        Case{"SamplesThatNoIntegerCounts",
             {"train", "run.yaml", "--set", "global_batch_size=4611686018427387904"},
             64,
             "--set global_batch_size=4611686018427387904: training.global_batch_size: given "
             "4611686018427387904, expected an integer from 0 to 1000000000 (samples)"},
        Case{"OutputThatNamesNoFile",
             {"prepare", "--input", "run.yaml", "--output", "data/"},
             64,
             "--output: given 'data/', expected a folder and the first part of the files' names, such as "
             "data/book"},
        Case{"ListingCheckpointsOfNothing",
             {"checkpoint", "list", "missing"},
             65,
             "missing: no such folder; give the output folder of a run"},
        Case{"VerifyingNothing",
             {"checkpoint", "verify", "missing"},
             65,
             "missing: no such folder; give the output folder of a run"},
        Case{"ComparingNothing",
             {"checkpoint", "diff", "missing", "missing"},
             65,
             "missing: no checkpoint here; train the run first, or give --checkpoint"},
        Case{"ExportingNothing",
             {"checkpoint", "export", "empty", "--output", "runs/out"},
             65,
             "empty: no checkpoint here; train the run first, or give --checkpoint"},
        Case{"ExportingIntoAnUnknownType",
             {"checkpoint", "export", "empty", "--output", "runs/out", "--dtype", "int8"},
             64,
             "--dtype: int8 not in {fp32,bf16,fp16}; `trireme --help` shows what there is"},
        Case{"ImportingNothing",
             {"checkpoint", "import", "missing", "--output", "runs/out"},
             65,
             "'missing/config.json' cannot be opened: No such file or directory; give a folder that "
             "Transformers' save_pretrained() made"},
        Case{"ImportingWeightsWithoutAnEnd",
             {"checkpoint", "import", "hostile", "--output", "runs/out"},
             65,
             "hostile/model.safetensors: not a valid safetensors file: a header of 4503599627370496 bytes in "
             "a "
             "file of 8 bytes (at most 100000000 are read)"},
        Case{"RepairingNothing",
             {"checkpoint", "repair-index", "missing"},
             65,
             "cannot open 'missing/manifest.json': No such file or directory (errno 2)"},
        Case{"BeginningWithWeightsFromNowhere",
             {"train", "run.yaml", "--set", "initialize_from=missing"},
             64,
             "training.initialize_from: given missing, expected a step folder, or the output folder of a run "
             "or "
             "an import with a checkpoint in it"},
        Case{"PatternsOfWeightsFromNowhere",
             {"train", "run.yaml", "--set", "initialize_only=[head.*]"},
             64,
             "training.initialize_only: given [head.*], expected nothing without training.initialize_from"},
        Case{
            "ResumeFromNowhere",
            {"train", "run.yaml", "--set", "resume=missing"},
            64,
            "training.resume: given missing, expected auto, never or the path of a checkpoint's step folder"},
        Case{"MissingDataSet",
             {"train", "indexed.yaml"},
             65,
             "text.idx: cannot be opened: No such file or directory"},
        Case{"EvaluatingWithoutACheckpoint",
             {"evaluate", "run.yaml"},
             65,
             "runs/run: no checkpoint here; train the run first, or give --checkpoint"},
        Case{"GeneratingWithoutACheckpoint",
             {"generate", "--checkpoint", "empty", "--prompt", "a"},
             65,
             "empty: no checkpoint here; train the run first, or give --checkpoint"},
        Case{"GeneratingFromNothing",
             {"generate", "--prompt", "a"},
             64,
             "generate: give a run (its file or output folder) or --checkpoint PATH"},
        Case{"SamplingOutOfRange",
             {"generate", "run.yaml", "--top-p", "2"},
             64,
             "top-p must be in (0, 1], given 2"},
        Case{"CountOutOfRange",
             {"generate", "run.yaml", "--max-tokens", "-1"},
             64,
             "--max-tokens: given -1, expected an integer >= 0; `trireme --help` shows what there is"}),
    [](const ::testing::TestParamInfo<Case>& info) { return std::string(info.param.name); });

TEST(BadInputFiles, AnOutputFolderThatCannotBeMadeGivesExitCode73) {
  const TemporaryFolder folder;
  write_run_files(folder);
  folder.write("file", "");
  const ProgramResult result = trireme(folder, {"train", "run.yaml", "--set", "output_dir=file/run"});
  EXPECT_EQ(result.exit_code, 73);
  EXPECT_NE(result.error.find("cannot create the directory 'file/run/checkpoints': Not a directory"),
            std::string::npos)
      << result.error;
}

TEST(BadInputFiles, AModelBeyondTheMemoryOfTheHostIsRefusedBeforeItIsAllocated) {
  for (const char* size : {"hidden_size=1000000", "vocab_size=2000000000", "seq_length=16000000"}) {
    const TemporaryFolder folder;
    write_run_files(folder);
    const ProgramResult result =
        trireme(folder, {"train", "run.yaml", "--set", size, "--set", "micro_batch_size=65536"});
    EXPECT_EQ(result.exit_code, 71);
    EXPECT_EQ(result.error.find("trireme: error: out of memory: 1 rank of this host would need "), 0u)
        << result.error;
    EXPECT_FALSE(fs::exists(folder.path() / "runs"));
  }
}

TEST(BadInputFiles, AFolderInPlaceOfTheMetricsGivesExitCode73) {
  const TemporaryFolder folder;
  write_run_files(folder);
  folder.write("runs/run/metrics.jsonl/file", "");
  const ProgramResult result = trireme(folder, {"train", "run.yaml"});
  EXPECT_EQ(result.exit_code, 73);
  EXPECT_NE(result.error.find("runs/run/metrics.jsonl"), std::string::npos) << result.error;
}

TEST(BadInputFiles, APipeInPlaceOfADataSetIsNotWaitedFor) {
  const TemporaryFolder folder;
  write_run_files(folder);
  make_data(folder, 63);
  fs::remove(folder.path() / "text.bin");
  ASSERT_EQ(run_program({"mkfifo", "text.bin"}, folder.path()).exit_code, 0);
  const ProgramResult result = trireme(folder, {"train", "indexed.yaml"});
  EXPECT_EQ(result.exit_code, 65);
  EXPECT_EQ(result.error, "trireme: error: text.bin: is not a regular file\n");
}

TEST(BadInputFiles, ADamagedDataSetIsNamedBeforeAnythingIsWritten) {
  const TemporaryFolder folder;
  write_run_files(folder);
  make_data(folder, 63);
  fs::resize_file(folder.path() / "text.bin", 100);
  const ProgramResult result = trireme(folder, {"train", "indexed.yaml"});
  EXPECT_EQ(result.exit_code, 65);
  EXPECT_EQ(result.error.find("trireme: error: text."), 0u) << result.error;
  EXPECT_FALSE(fs::exists(folder.path() / "runs"));
}

TEST(BadInputFiles, ATokenOutsideTheVocabularyIsNamedWithItsPlace) {
  const TemporaryFolder folder;
  write_run_files(folder);
  make_data(folder, 99);
  const ProgramResult result = trireme(folder, {"train", "indexed.yaml"});
  EXPECT_EQ(result.exit_code, 65);
  EXPECT_EQ(result.error.find("trireme: error: text.bin: "), 0u) << result.error;
}

TEST(BadInputFiles, ABrokenTokenizerIsNamedBeforeAnythingIsWritten) {
  const TemporaryFolder folder;
  write_run_files(folder);
  make_data(folder, 63);
  folder.write("text-tokenizer/tokenizer.json", "{");
  const ProgramResult result = trireme(folder, {"train", "indexed.yaml"});
  EXPECT_EQ(result.exit_code, 65);
  EXPECT_EQ(result.error.find("trireme: error: text-tokenizer/tokenizer.json: "), 0u) << result.error;
  EXPECT_FALSE(fs::exists(folder.path() / "runs"));
}

TEST(BadInputFiles, ADamagedCheckpointIsRefusedByNameAndPassedOverByAuto) {
  const TemporaryFolder folder;
  write_run_files(folder);
  ASSERT_EQ(trireme(folder, {"train", "run.yaml", "--set", "save_interval=1"}).exit_code, 0);
  const fs::path step = folder.path() / "runs/run/checkpoints/step-00000002";
  {
    std::fstream shard(step / "shard-00000-of-00001.h5", std::ios::in | std::ios::out | std::ios::binary);
    const nlohmann::json manifest = nlohmann::json::parse(read_file(step / "manifest.json"));
    for (const nlohmann::json& tensor : manifest["tensors"]) {
      shard.seekp(tensor["boxes"][0]["file_offset"].get<int64_t>());
      shard.write("damaged!", 8);
    }
  }
  const ProgramResult named = trireme(folder, {"train", "run.yaml", "--set", "train_iters=3", "--set",
                                               "resume=runs/run/checkpoints/step-00000002"});
  EXPECT_EQ(named.exit_code, 65) << named.error;
  EXPECT_NE(named.error.find("shard-00000-of-00001.h5"), std::string::npos) << named.error;
  const ProgramResult run = trireme(folder, {"train", "run.yaml", "--set", "resume=runs/run"});
  EXPECT_EQ(run.exit_code, 64) << run.error;
  EXPECT_NE(run.error.find("the newest step in it is runs/run/checkpoints/step-00000002"), std::string::npos)
      << run.error;
  const ProgramResult automatic = trireme(folder, {"train", "run.yaml", "--set", "train_iters=3"});
  EXPECT_EQ(automatic.exit_code, 0) << automatic.error;
  EXPECT_NE(automatic.out.find("resumed from the checkpoint of step 1\n"), std::string::npos)
      << automatic.out;
  EXPECT_EQ(trireme(folder, {"checkpoint", "verify", "runs/run/checkpoints/step-00000001"}).exit_code, 0);
}

TEST(BadInputFiles, AnotherModelIsRefusedAndTheRunIsUntouched) {
  const TemporaryFolder folder;
  write_run_files(folder);
  ASSERT_EQ(trireme(folder, {"train", "run.yaml"}).exit_code, 0);
  const std::string metrics = read_file(folder.path() / "runs/run/metrics.jsonl");
  const ProgramResult result = trireme(folder, {"train", "run.yaml", "--set", "hidden_size=32"});
  EXPECT_EQ(result.exit_code, 65);
  EXPECT_NE(result.error.find("hidden_size"), std::string::npos) << result.error;
  EXPECT_EQ(read_file(folder.path() / "runs/run/metrics.jsonl"), metrics);
  EXPECT_EQ(trireme(folder, {"checkpoint", "verify", "runs/run"}).exit_code, 0);
}

}  // namespace
}  // namespace trireme
