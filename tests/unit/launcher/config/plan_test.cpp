#include "launcher/config/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "core/base/error.h"
#include "core/models/registry.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;

RunConfig synthetic() {
  RunConfig config;
  config.data.source = DataSource::kSynthetic;
  config.data.seq_length = 64;
  config.model.vocab_size = 100;
  return config;
}

std::string error_of(const std::function<void(RunConfig&)>& change, int64_t num_ranks = 1) {
  RunConfig config = synthetic();
  change(config);
  try {
    plan_run(config, num_ranks);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(RunPlan, FillsInWhatIsDerived) {
  RunConfig config = synthetic();
  config.training.micro_batch_size = 3;
  const RunPlan plan = plan_run(config, 2);
  EXPECT_EQ(plan.config.training.global_batch_size, 6);
  EXPECT_EQ(plan.config.model.max_position_embeddings, 64);
  EXPECT_EQ(plan.config.model.ffn_hidden_size, 4 * 768);
  EXPECT_EQ(describe(plan.batch), "2 ranks x 1 micro-batch x 3 samples = 6 samples = 384 tokens a step");
  config.model = family_named("transformer").defaults();  // whose samples have their own lengths
  config.model.vocab_size = 100;
  EXPECT_EQ(describe(plan_run(config, 2).batch), "2 ranks x 1 micro-batch x 3 samples = 6 samples a step");
}

TEST(RunPlan, RefusesABatchThatDoesNotDivideWithTheArithmetic) {
  EXPECT_EQ(error_of(
                [](RunConfig& config) {
                  config.training.micro_batch_size = 4;
                  config.training.global_batch_size = 20;
                },
                2),
            "training.global_batch_size 20 is not a multiple of micro_batch_size 4 x 2 data-parallel ranks = "
            "8; the "
            "nearest that work: 16 and 24");
}

TEST(RunPlan, RefusesLayoutsOfLaterVersions) {
  EXPECT_EQ(error_of([](RunConfig& config) { config.parallel.context_parallel_size = 2; }, 2),
            "parallel.context_parallel_size = 2 is not available in this version; set it to 1");
}

TEST(RunPlan, TellsEverythingThatIsWrongWithALayoutAtOnce) {
  const std::string error = error_of(
      [](RunConfig& config) {
        config.model = {.num_layers = 2, .hidden_size = 12, .num_attention_heads = 3, .vocab_size = 11};
        config.data.seq_length = 7;
        config.training.micro_batch_size = 1;
        config.parallel.tensor_model_parallel_size = 2;
        config.parallel.sequence_parallel = true;
        config.parallel.pipeline_model_parallel_size = 3;
        config.parallel.pipeline_schedule = PipelineSchedule::kInterleaved;
        config.parallel.virtual_pipeline_model_parallel_size = 2;
      },
      6);
  EXPECT_THAT(error, HasSubstr("3 problems in the configuration"));
  EXPECT_THAT(error,
              HasSubstr("model.num_attention_heads 3 / 2 leaves 1; sizes that work for this model: 1, 3"));
  EXPECT_THAT(error,
              HasSubstr("micro_batch_size 1 x seq_length 7 = 7 rows do not divide over 2 tensor ranks"));
  EXPECT_THAT(error,
              HasSubstr("3 pipeline stages x 2 chunks = 6 virtual stages, but the model has 4 blocks"));
}

TEST(RunPlan, TakesALossScaleForFp16Only) {
  const auto scaled = [](RunConfig& config) {
    config.precision.initial_loss_scale = 2;
    config.precision.min_loss_scale = 4;
    config.precision.hysteresis = 3;
  };
  EXPECT_EQ(error_of(scaled),
            "3 problems in the configuration:\n"
            "  precision.initial_loss_scale: given 2, expected nothing unless precision.dtype is fp16\n"
            "  precision.min_loss_scale: given 4, expected nothing unless precision.dtype is fp16\n"
            "  precision.hysteresis: given 3, expected nothing unless precision.dtype is fp16");
  EXPECT_EQ(error_of([&](RunConfig& config) {
              scaled(config);
              config.precision.dtype = Precision::kFp16;
            }),
            "precision.initial_loss_scale: given 2, expected at least precision.min_loss_scale 4");
}

TEST(RunPlan, RecomputesLayersThatExist) {
  EXPECT_EQ(error_of([](RunConfig& config) { config.training.recompute_num_layers = 2; }),
            "training.recompute_num_layers: given 2, expected nothing with recompute_granularity none");
  EXPECT_EQ(error_of([](RunConfig& config) {
              config.training.recompute_granularity = RecomputeGranularity::kSelective;
              config.training.recompute_num_layers = 13;
            }),
            "training.recompute_num_layers: given 13, expected at most the model's 12 layers");
}

TEST(RunPlan, RefusesSchedulesThatContradictThemselves) {
  EXPECT_EQ(error_of([](RunConfig& config) { config.optimizer.min_lr = 1; }),
            "optimizer.min_lr: given 1, expected at most optimizer.lr 0.0003");
  EXPECT_EQ(error_of([](RunConfig& config) { config.optimizer.lr_decay_style = LrDecayStyle::kWsd; }),
            "optimizer.lr_wsd_decay_iters: given 0, expected 1 to 1000 (the steps of the schedule) with "
            "lr_decay_style WSD");
  EXPECT_EQ(error_of([](RunConfig& config) { config.optimizer.lr_wsd_decay_iters = 5; }),
            "optimizer.lr_wsd_decay_iters: given 5, expected nothing without lr_decay_style WSD");
}

TEST(RunPlan, TakesTheModelSizeOfNoamFromTheModelAndRefusesWhatNoamDoesNotRead) {
  const auto noam = [](RunConfig& config) {
    config.optimizer.lr_decay_style = LrDecayStyle::kNoam;
    config.optimizer.lr_warmup_iters = 10;
  };
  RunConfig config = synthetic();
  noam(config);
  EXPECT_EQ(plan_run(config, 1).config.optimizer.noam_model_size, config.model.hidden_size);
  config.optimizer.noam_model_size = 512;
  EXPECT_EQ(plan_run(config, 1).config.optimizer.noam_model_size, 512);
  EXPECT_EQ(error_of([&](RunConfig& run) { noam(run), run.optimizer.lr = 0.5; }),
            "optimizer.lr: given 0.5, expected nothing with lr_decay_style noam");
  EXPECT_EQ(error_of([&](RunConfig& run) { noam(run), run.optimizer.lr_decay_iters = 5; }),
            "optimizer.lr_decay_iters: given 5, expected nothing with lr_decay_style noam");
  EXPECT_EQ(error_of([&](RunConfig& run) { noam(run), run.optimizer.lr_warmup_iters = 0; }),
            "optimizer.lr_warmup_iters: given 0, expected at least 1 with lr_decay_style noam");
  EXPECT_EQ(error_of([&](RunConfig& run) { run.optimizer.noam_factor = 2; }),
            "optimizer.noam_factor: given 2, expected nothing without lr_decay_style noam");
}

TEST(RunPlan, RefusesEarlyStoppingAndAveragesThatHaveNothingToGoBy) {
  EXPECT_EQ(error_of([](RunConfig& config) { config.training.eval_ema = true; }),
            "training.eval_ema: given true, expected nothing without optimizer.ema_decay");
  EXPECT_EQ(error_of([](RunConfig& config) { config.training.early_stopping_patience = 3; }),
            "training.early_stopping_patience: given 3, expected nothing without training.eval_interval");
  EXPECT_EQ(error_of([](RunConfig& config) { config.training.early_stopping_min_delta = 0.5; }),
            "training.early_stopping_min_delta: given 0.5, expected nothing without early_stopping_patience");
  EXPECT_EQ(
      error_of([](RunConfig& config) { config.training.early_stopping_metric = "accuracy"; }),
      "training.early_stopping_metric: given accuracy, expected nothing without early_stopping_patience");
}

TEST(RunPlan, RefusesDataThatContradictsItself) {
  EXPECT_EQ(error_of([](RunConfig& config) { config.data.source = DataSource::kIndexed; }),
            "data.data_path: given nothing, expected the prefix of a data set (make one with `trireme "
            "prepare`), or "
            "data.source: synthetic");
  EXPECT_EQ(error_of([](RunConfig& config) { config.data.data_path = {"x"}; }),
            "data.data_path: given files, expected none with data.source: synthetic");
  EXPECT_EQ(error_of([](RunConfig& config) {
              config.data.source = DataSource::kIndexed;
              config.data.data_path = {"x"};
              config.data.data_weights = {1, 2};
            }),
            "data.data_weights: given 2 weights, expected one for each of the 1 entries of data.data_path");
}

/// A run of a family on data with the tokenizer of BERT's form that `tokens` are the vocabulary of.
RunConfig with_tokenizer(const testing::TemporaryFolder& folder, const std::string& family,
                         const std::string& tokens) {
  folder.write("x-tokenizer/vocab.txt", tokens);
  RunConfig config;
  config.model = family_named(family).defaults();
  config.data.data_path = {(folder.path() / "x").string()};
  config.data.seq_length = 64;
  return config;
}

std::string error_of_plan(const RunConfig& config) {
  try {
    plan_run(config, 1);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(RunPlan, TakesSpecialTokensFromTheTokenizer) {
  const testing::TemporaryFolder folder;
  const std::string vocabulary = "[PAD]\n[UNK]\n[SEP]\n[CLS]\n[MASK]\na\n##b\n";
  RunConfig config = with_tokenizer(folder, "bert", vocabulary);
  const SampleNeeds needs = plan_run(config, 1).needs;
  EXPECT_EQ(needs.objective, Objective::kMasked);
  EXPECT_TRUE(needs.next_sentence);
  EXPECT_EQ(needs.vocab_size, 7);
  EXPECT_EQ(needs.roles.num_tokens, 7);
  EXPECT_EQ(needs.roles.sep, 2);
  EXPECT_EQ(needs.roles.cls, 3);
  EXPECT_EQ(needs.roles.mask, 4);
  EXPECT_TRUE(needs.roles.continues_word.empty());
  config.data.whole_word_mask = true;
  EXPECT_EQ(plan_run(config, 1).needs.roles.continues_word, (std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 1}));
  config.data.whole_word_mask = false;
  config.model.num_classes = 3;
  EXPECT_EQ(plan_run(config, 1).needs.objective, Objective::kClassification);
  EXPECT_EQ(plan_run(config, 1).needs.num_classes, 3);
}

TEST(RunPlan, SaysWhichTokenizerLacksWhichSpecialToken) {
  const testing::TemporaryFolder folder;
  EXPECT_THAT(error_of_plan(with_tokenizer(folder, "bert", "[UNK]\n[CLS]\n[SEP]\na\n")),
              HasSubstr("x-tokenizer: the WordPiece tokenizer has no special token 'mask', which a masked "
                        "language model needs"));
  RunConfig config = with_tokenizer(folder, "bert", "[UNK]\n[SEP]\na\n");
  config.model.num_classes = 2;
  EXPECT_THAT(error_of_plan(config), HasSubstr("no special token 'cls', which classification needs"));
  const std::string translation = error_of_plan(with_tokenizer(folder, "transformer", "[UNK]\na\n"));
  EXPECT_THAT(translation, HasSubstr("2 problems"));
  EXPECT_THAT(translation, HasSubstr("no special token 'begin', which translation needs"));
  EXPECT_THAT(translation, HasSubstr("no special token 'end', which translation needs"));
  config = with_tokenizer(folder, "bert", "[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n");
  config.data.whole_word_mask = true;
  EXPECT_THAT(error_of_plan(config), HasSubstr("has no token that begins with ##"));
  config.data.data_path = {"y"};
  config.model.vocab_size = 5;
  EXPECT_THAT(error_of_plan(config), HasSubstr("data.tokenizer_path: given nothing, and y-tokenizer is not"));
}

TEST(RunPlan, GivesTheSourceItsOwnVocabulary) {
  const testing::TemporaryFolder folder;
  RunConfig config = with_tokenizer(folder, "transformer", "[UNK]\na\nb\nc\n");
  folder.write("target/vocab.txt", "[UNK]\na\n");
  folder.write("x-target-tokenizer/vocab.txt", "[UNK]\na\nb\n");
  config.model.share_source_embedding = false;
  config.model.vocab_size = 3;
  config.model.source_vocab_size = 2;
  const std::string error = error_of_plan(config);
  EXPECT_THAT(error, HasSubstr("model.source_vocab_size 2 is smaller than the vocabulary of"));
  EXPECT_THAT(error, HasSubstr("x-tokenizer: the WordPiece tokenizer has no special token 'end'"));
  EXPECT_THAT(error, HasSubstr("x-target-tokenizer: the WordPiece tokenizer has no special token 'begin'"));
  config.model.vocab_size = 2;
  EXPECT_THAT(error_of_plan(config),
              HasSubstr("model.vocab_size 2 is smaller than the tokenizer's vocabulary of 3"));
  config.data.target_tokenizer_path = (folder.path() / "target").string();
  EXPECT_THAT(error_of_plan(config),
              HasSubstr("target: the WordPiece tokenizer has no special token 'begin'"));
  EXPECT_THAT(error_of([](RunConfig& config) { config.data.target_tokenizer_path = "german"; }),
              HasSubstr("data.target_tokenizer_path: given german, expected nothing but for translation"));
}

TEST(RunPlan, TakesDataOptionsForTheirObjectivesOnly) {
  EXPECT_EQ(
      error_of([](RunConfig& config) { config.data.pad_to_multiple = 2; }),
      "data.pad_to_multiple: given 2, expected nothing with a causal language model: nothing is padded");
  EXPECT_THAT(error_of([](RunConfig& config) { config.data.mask_prob = 0.5; }), HasSubstr("data.mask_prob"));
  const auto bert = [](RunConfig& config) {
    config.model = family_named("bert").defaults();
    config.model.vocab_size = 100;
  };
  EXPECT_EQ(error_of(bert), "no error");
  EXPECT_EQ(error_of([&](RunConfig& config) {
              bert(config);
              config.model.num_token_types = 1;
            }),
            "model.num_token_types: given 1, expected 0 or at least 2: a sample may have two segments");
  EXPECT_THAT(error_of([&](RunConfig& config) {
                bert(config);
                config.data.document_mask = true;
              }),
              HasSubstr("data.document_mask: given true"));
}

TEST(RunPlan, DividesTheRowsOfPaddedBatchesOverTensorRanks) {
  const auto bert = [](RunConfig& config) {
    config.model = family_named("bert").defaults();
    config.model.vocab_size = 100;
    config.training.micro_batch_size = 1;
    config.parallel.tensor_model_parallel_size = 2;
    config.parallel.sequence_parallel = true;
  };
  EXPECT_EQ(
      error_of(bert, 2),
      "parallel.sequence_parallel: micro_batch_size 1 x data.pad_to_multiple 1 = 1 rows do not divide over "
      "2 tensor ranks; set data.pad_to_multiple: 2, or data.pad_to_seq_length");
  EXPECT_EQ(error_of(
                [&](RunConfig& config) {
                  bert(config);
                  config.data.pad_to_multiple = 2;
                },
                2),
            "no error");
}

TEST(RunPlan, TellsEveryProblemAtOnce) {
  const std::string message = error_of([](RunConfig& config) {
    config.model.vocab_size = 0;
    config.model.num_attention_heads = 5;
    config.training.resume = "sometimes";
    config.training.micro_batch_size = 2;
    config.training.global_batch_size = 3;
  });
  EXPECT_EQ(message.find("4 problems in the configuration:\n  training.global_batch_size 3 is not"), 0u)
      << message;
  EXPECT_NE(message.find("\n  training.resume: given sometimes, expected auto, never or the path"),
            std::string::npos);
  EXPECT_NE(message.find("\n  model.hidden_size 768 is not a multiple"), std::string::npos);
  EXPECT_NE(message.find("\n  model.vocab_size is 0 and there is no tokenizer"), std::string::npos);
}

}  // namespace
}  // namespace trireme
