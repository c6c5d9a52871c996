// `trireme verify`, from a run file to a table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::ProgramResult;
using testing::run_program;
using testing::TemporaryFolder;

/// Llama 8B's structure on 64 ranks.
constexpr const char* kRun =
    "model: {num_layers: 32, hidden_size: 4096, ffn_hidden_size: 14336, num_attention_heads: 32,\n"
    "        num_query_groups: 8, vocab_size: 128257, position_embedding_type: rope, normalization: "
    "RMSNorm,\n"
    "        activation: swiglu, add_bias_linear: false, untie_embeddings_and_output_weights: true}\n"
    "data: {source: synthetic, seq_length: 8192}\n"
    "training: {micro_batch_size: 1, global_batch_size: 64}\n"
    "precision: {dtype: bf16}\n"
    "parallel: {tensor_model_parallel_size: 4, pipeline_model_parallel_size: 4, sequence_parallel: true,\n"
    "           zero_stage: 1}\n";

ProgramResult verify(const std::string& run, std::vector<std::string> arguments = {}) {
  const TemporaryFolder folder;
  folder.write("run.yaml", run);
  arguments.insert(arguments.begin(), {testing::trireme_binary(), "verify", "run.yaml"});
  return run_program(arguments, folder.path());
}

TEST(VerifyCommand, ShrinksTheRunAndFindsThatItsLayoutAgrees) {
  const ProgramResult result = verify(kRun, {"--ranks", "64"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  for (const char* text :
       {"ranks                                            64 -> 12",
        "vocab_size                                   128257 -> 25", "fp64   gradients", "bf16   weights",
        "replicated parts", "this layout gives the gradients of one rank\n"})
    EXPECT_THAT(result.out, HasSubstr(text));
  EXPECT_THAT(result.out, Not(HasSubstr("DISAGREE")));
}

TEST(VerifyCommand, RefusesWhatCannotRunWithOneError) {
  const ProgramResult ranks = verify(kRun, {"--ranks", "24"});
  EXPECT_EQ(ranks.exit_code, 64);
  EXPECT_THAT(ranks.error, HasSubstr("24"));
  EXPECT_EQ(verify(kRun, {"--ranks", "0"}).exit_code, 64);
  const ProgramResult key = verify(kRun, {"--set", "tensor_model_paralel_size=2"});
  EXPECT_EQ(key.exit_code, 64);
  EXPECT_THAT(key.error, HasSubstr("tensor_model_parallel_size"));
  const ProgramResult heads = verify(kRun, {"--set", "tensor_model_parallel_size=5"});
  EXPECT_EQ(heads.exit_code, 64);
  EXPECT_THAT(heads.error, HasSubstr("32 / 5 leaves 2"));
  EXPECT_EQ(run_program({testing::trireme_binary(), "verify", "nothing.yaml"}).exit_code, 64);
}

}  // namespace
}  // namespace trireme
