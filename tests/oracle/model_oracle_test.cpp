// Tiny models of every family against Hugging Face Transformers, torch.nn and torch.optim.AdamW: the
// make_*_fixtures.py beside this file wrote what these compute.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

#include "core/io/safetensors.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/optim/clip.h"
#include "core/optim/optimizer.h"
#include "tests/support/gradient_check.h"
#include "tests/support/paths.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

ModelConfig gpt2() {
  ModelConfig config;
  config.num_layers = 2;
  config.hidden_size = 32;
  config.num_attention_heads = 4;
  config.vocab_size = 37;
  config.max_position_embeddings = 16;
  config.resolve(0, 9);
  return config;
}

ModelConfig llama() {
  ModelConfig config = gpt2();
  config.ffn_hidden_size = 48;
  config.num_query_groups = 2;
  config.position_embedding_type = PositionEmbedding::kRope;
  config.normalization = Normalization::kRmsNorm;
  config.activation = FeedForwardActivation::kSwiglu;
  config.add_bias_linear = false;
  config.untie_embeddings_and_output_weights = true;
  config.resolve(0, 9);
  return config;
}

ModelConfig small_transformer() {
  ModelConfig config = family_named("transformer").defaults();
  config.num_layers = 2;
  config.hidden_size = 24;
  config.ffn_hidden_size = 36;
  config.num_attention_heads = 4;
  config.vocab_size = 37;
  config.hidden_dropout = 0;
  return config;
}

ModelConfig marian() {
  ModelConfig config = small_transformer();
  config.sinusoidal_form = ops::SinusoidForm::kConcatenated;
  config.resolve(0, 11);
  return config;
}

ModelConfig bert() {
  ModelConfig config = family_named("bert").defaults();
  config.num_layers = 2;
  config.hidden_size = 24;
  config.ffn_hidden_size = 36;
  config.num_attention_heads = 4;
  config.vocab_size = 37;
  config.max_position_embeddings = 16;
  config.hidden_dropout = config.attention_dropout = 0;
  config.resolve(0, 9);
  return config;
}

ModelConfig bert_hidden() {
  ModelConfig config = bert();
  config.num_layers = 1;
  return config;
}

ModelConfig torch_transformer() {
  ModelConfig config = small_transformer();
  config.encoder_num_layers = 3;
  config.norm_position = NormPosition::kPre;
  config.activation = FeedForwardActivation::kGelu;
  config.source_vocab_size = 29;
  config.share_source_embedding = false;
  config.untie_embeddings_and_output_weights = true;
  config.resolve(0, 11);
  return config;
}

ModelConfig recurrent(RecurrentCell cell, int64_t num_layers, int64_t encoder_num_layers) {
  ModelConfig config = family_named("recurrent").defaults();
  config.recurrent_cell = cell;
  config.num_layers = num_layers;
  config.encoder_num_layers = encoder_num_layers;
  config.hidden_size = 12;
  config.vocab_size = 37;
  config.source_vocab_size = 29;
  config.share_source_embedding = false;
  config.untie_embeddings_and_output_weights = true;
  return config;
}

/// As CASES of make_recurrent_fixtures.py.
std::vector<std::pair<std::string, ModelConfig>> recurrent_models() {
  using enum RecurrentCell;
  ModelConfig lstm = recurrent(kLstm, 2, 2);
  lstm.source_vocab_size = 0;
  lstm.share_source_embedding = true;
  lstm.untie_embeddings_and_output_weights = false;
  ModelConfig gru_additive = recurrent(kGru, 1, 1);
  gru_additive.bidirectional_encoder = true;
  gru_additive.recurrent_attention = RecurrentAttention::kAdditive;
  ModelConfig rnn_dot = recurrent(kRnn, 1, 2);
  rnn_dot.recurrent_attention = RecurrentAttention::kDot;
  rnn_dot.attention_context = AttentionContext::kOutput;
  rnn_dot.recurrent_norm = true;
  ModelConfig lstm_dot = recurrent(kLstm, 2, 1);
  lstm_dot.bidirectional_encoder = true;
  lstm_dot.recurrent_attention = RecurrentAttention::kDot;
  std::vector<std::pair<std::string, ModelConfig>> models = {{"recurrent_lstm", lstm},
                                                             {"recurrent_gru_additive", gru_additive},
                                                             {"recurrent_rnn_dot", rnn_dot},
                                                             {"recurrent_lstm_dot", lstm_dot}};
  for (auto& [name, model] : models) model.resolve(0, 11);
  return models;
}

/// make_option_fixtures.py's: an encoder and a decoder layer.
ModelConfig option(PositionEmbedding positions) {
  ModelConfig config = small_transformer();
  config.num_layers = 1;
  config.hidden_size = 12;
  config.ffn_hidden_size = 10;
  config.num_attention_heads = 3;
  config.vocab_size = 13;
  config.position_embedding_type = positions;
  return config;
}

ModelConfig relative_option() {
  ModelConfig config = option(PositionEmbedding::kRelative);
  config.relative_max_distance = 2;
  return config;
}

ModelConfig shared_option() {
  ModelConfig config = relative_option();
  config.relative_values = false;
  config.share_query_key = true;
  return config;
}

ModelConfig alibi_option() {
  ModelConfig config = option(PositionEmbedding::kAlibi);
  config.scale_attention = false;
  config.activation = FeedForwardActivation::kSigmoid;
  return config;
}

ModelConfig additive_option() {
  ModelConfig config = option(PositionEmbedding::kSinusoidal);
  config.attention_score = AttentionScore::kAdditive;
  config.normalization = Normalization::kNone;
  config.activation = FeedForwardActivation::kTanh;
  return config;
}

ModelConfig complex_option() {
  ModelConfig config = option(PositionEmbedding::kComplex);
  config.untie_embeddings_and_output_weights = true;
  return config;
}

ModelConfig disagreement_option(Disagreement disagreement) {
  ModelConfig config = option(PositionEmbedding::kSinusoidal);
  config.disagreement = disagreement;
  config.disagreement_coefficient = 2.5;
  return config;
}

ModelConfig bare_option() {
  ModelConfig config = option(PositionEmbedding::kSinusoidal);
  config.residual_connections = false;
  config.feed_forward = false;
  config.ffn_hidden_size = 0;
  return config;
}

/// make_batch_norm_fixture.py's.
ModelConfig batch_norm() {
  ModelConfig config = bert();
  config.hidden_size = 16;
  config.ffn_hidden_size = 20;
  config.kv_channels = 0;
  config.vocab_size = 23;
  config.max_position_embeddings = 9;
  config.next_sentence_head = false;
  config.normalization = Normalization::kBatchNorm;
  config.norm_epsilon = 1e-5;
  config.batch_norm_momentum = 0.3;
  config.resolve(0, 9);
  return config;
}

/// max|a-b| of one tensor and max|b|.
struct Difference {
  double error = 0, largest = 0;
};
Difference difference(const Tensor& a, const Tensor& b, const std::function<bool(int64_t row)>& counts = {}) {
  EXPECT_EQ(a.shape(), b.shape());
  Difference result;
  for (int64_t i = 0; i < b.num_elements(); ++i) {
    if (counts && !counts(i / b.cols())) continue;
    const double error = std::abs(element(a, i) - element(b, i));
    result.error =
        std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(result.error, error);
    result.largest = std::max(result.largest, std::abs(element(b, i)));
  }
  return result;
}

class Oracle {
 public:
  Oracle(const std::string& name, const ModelConfig& config, Precision precision)
      : file_(testing::test_folder() + "/oracle/" + name + ".safetensors"),
        tiny_(context_, config, precision) {
    for (Parameter* parameter : tiny_.store->parameters())
      for (size_t i = 0; i < parameter->pieces.size(); ++i) {
        const Tensor given = tensor("initial/" + parameter->pieces[i].name);
        EXPECT_EQ(given.shape(), parameter->pieces[i].global_shape) << parameter->pieces[i].name;
        Tensor master = parameter->piece(parameter->master, i), value = parameter->piece(parameter->value, i);
        ops::cast(context_, given, master);
        ops::cast(context_, given, value);
      }
    for (Buffer* buffer : tiny_.store->buffers())
      ops::cast(context_, tensor("initial/" + buffer->name), buffer->value);
    OptimizerConfig optimizer_config;
    optimizer_config.weight_decay = 0.1;
    optimizer_config.adam_beta2 = 0.95;
    if (file_.entries().contains("adam_eps")) optimizer_config.adam_eps = element(tensor("adam_eps"), 0);
    optimizer_ = make_optimizer(context_, optimizer_config, *tiny_.store);
  }

  Tensor tensor(const std::string& name) { return file_.read(context_, name, MemoryCategory::kWorkspace); }

  Batch batch(int64_t step) {
    Batch batch;
    const auto of_step = [&](const char* name) {
      const Tensor all = tensor(name);
      Shape shape(all.shape().begin() + 1, all.shape().end());
      return all.slice(0, step, 1).reshape(shape);
    };
    batch.tokens = of_step("tokens");
    batch.targets = of_step("targets");
    batch.positions =
        file_.entries().contains("positions") ? of_step("positions") : positions_of(batch.tokens);
    if (file_.entries().contains("lengths")) batch.lengths = of_step("lengths");
    if (file_.entries().contains("source_tokens")) {
      batch.source_tokens = of_step("source_tokens");
      batch.source_positions = positions_of(batch.source_tokens);
      batch.source_lengths = of_step("source_lengths");
    }
    if (file_.entries().contains("segments")) batch.segments = of_step("segments");
    if (file_.entries().contains("labels")) batch.labels = of_step("labels");
    batch.num_targets = {count(batch.targets), count(batch.labels)};
    batch.sample_ids = context_.zeros({batch.num_samples()}, DType::kInt64, MemoryCategory::kWorkspace);
    return batch;
  }

  static int64_t count(const Tensor& targets) {
    if (!targets.defined()) return 0;
    const int32_t* target = targets.data<int32_t>();
    return std::count_if(target, target + targets.num_elements(), [](int32_t one) { return one >= 0; });
  }

  Tensor positions_of(const Tensor& tokens) {
    Tensor positions = context_.workspace(tokens.shape(), DType::kInt32);
    for (int64_t i = 0; i < tokens.num_elements(); ++i)
      positions.data<int32_t>()[i] = static_cast<int32_t>(i % tokens.size(1));
    return positions;
  }

  Tensor logits() {
    const Batch first = batch(0);
    ForwardPass pass{.batch = first};
    return tiny_.model->logits(context_, pass, false);
  }

  /// One training step; gives the mean loss and the gradient norm.
  std::pair<double, double> step(int64_t index) {
    const Batch micro_batch = batch(index);
    ForwardPass pass{.batch = micro_batch};
    for (size_t term = 0; term < kNumLossTerms; ++term)
      pass.loss_scale.at(term) =
          1.0 / static_cast<double>(std::max<int64_t>(1, micro_batch.counts().at(term)));
    tiny_.store->begin_accumulation();
    const Variable loss = tiny_.model->loss(context_, pass);
    Tensor one = context_.workspace({1}, loss.value().dtype());
    ops::fill(context_, one, 1.0);
    backward(context_, {{loss, one}});
    tiny_.store->finish_accumulation(context_);
    const double norm = std::sqrt(ops::sum_of_squares(context_, tiny_.store->gradients()));
    double mean = 0;
    for (const LossTerm term : {LossTerm::kTokens, LossTerm::kSamples}) {
      EXPECT_EQ(pass.losses[term].count, micro_batch.num_targets[term]);
      mean += pass.losses[term].sum * pass.loss_scale[term];
    }
    EXPECT_NEAR(element(loss.value(), 0), mean, 1e-6);
    mean += pass.losses[LossTerm::kDisagreement].sum * pass.loss_scale[LossTerm::kDisagreement];
    optimizer_->step(context_, *tiny_.store, 1e-2, index + 1, clip_factor(norm, 1.0));
    return {mean, norm};
  }

  /// The largest error of the weights and buffers that `prefix` names.
  double worst_state_error(const std::string& prefix, bool without_key_biases) {
    double worst = worst_error(prefix, &Parameter::master, without_key_biases);
    for (const Buffer* buffer : tiny_.store->buffers()) {
      const Difference each = difference(buffer->value, tensor(prefix + buffer->name));
      worst = std::max(worst, each.error / each.largest);
    }
    return worst;
  }

  /// The largest error of a logical tensor: max|a-b| / max(max|b|, 1e-3 x the model's largest max|b|).
  double worst_error(const std::string& prefix, Tensor Parameter::*which, bool without_key_biases) {
    std::vector<Difference> differences;
    double largest = 0;
    for (Parameter* parameter : tiny_.store->parameters())
      for (size_t i = 0; i < parameter->pieces.size(); ++i) {
        const std::string& name = parameter->pieces[i].name;
        if (without_key_biases && name.ends_with("key.bias")) continue;
        differences.push_back(difference(parameter->piece(parameter->*which, i), tensor(prefix + name)));
        largest = std::max(largest, differences.back().largest);
      }
    double worst = 0;
    for (const Difference& each : differences)
      worst = std::max(worst, each.error / std::max(each.largest, 1e-3 * largest));
    return worst;
  }

  Context context_;
  SafetensorsFile file_;
  TinyModel tiny_;
  std::unique_ptr<Optimizer> optimizer_;
};

Tensor as_matrix(const Tensor& x) {
  return x.reshape({x.num_elements() / x.cols(), x.cols()});
}

struct Bounds {
  double logits, gradients, weights;
};

void expect_agreement(const std::string& name, const ModelConfig& config, Precision precision,
                      Bounds bounds) {
  Oracle oracle(name, config, precision);
  const Tensor expected_logits = as_matrix(oracle.tensor("logits"));
  // What a model says of padding is nobody's concern.
  const Batch first = oracle.batch(0);
  const Difference logits = difference(oracle.logits(), expected_logits, [&](int64_t row) {
    const int64_t length = first.length();
    return !first.lengths.defined() || row % length < first.lengths.data<int32_t>()[row / length];
  });
  EXPECT_LE(logits.error / logits.largest, bounds.logits) << "logits";

  const Tensor losses = oracle.tensor("losses"), norms = oracle.tensor("norms");
  // A key bias moves every score of a query alike, so its true gradient is zero and Adam amplifies rounding.
  const bool without_key_biases = precision != Precision::kFp64;
  double gradients = 0, after_1 = 0;
  for (int64_t step = 0; step < 10; ++step) {
    const auto [loss, norm] = oracle.step(step);
    EXPECT_NEAR(loss, element(losses, step), bounds.gradients * 10) << "step " << step;
    EXPECT_NEAR(norm / element(norms, step), 1.0, bounds.gradients * 10) << "step " << step;
    if (step > 0) continue;
    gradients = oracle.worst_error("gradient/", &Parameter::gradient, false);
    after_1 = oracle.worst_state_error("after_1/", without_key_biases);
  }
  const double after_10 = oracle.worst_state_error("after_10/", without_key_biases);
  EXPECT_LE(gradients, bounds.gradients);
  EXPECT_LE(after_1, bounds.weights);
  EXPECT_LE(after_10, bounds.weights);
  std::printf("%s: logits %.1e, gradients %.1e, weights after 1 step %.1e, after 10 %.1e\n", name.c_str(),
              logits.error / logits.largest, gradients, after_1, after_10);
}

struct Case {
  std::string name;  ///< of the fixture
  ModelConfig config;
};

std::vector<Case> cases() {
  std::vector<Case> all = {{"gpt2", gpt2()},
                           {"llama", llama()},
                           {"marian", marian()},
                           {"bert", bert()},
                           {"bert_hidden", bert_hidden()},
                           {"batch_norm", batch_norm()},
                           {"torch_transformer", torch_transformer()}};
  for (const auto& [name, config] : recurrent_models()) all.push_back({name, config});
  for (auto& [name, config] :
       std::vector<Case>{{"option_relative", relative_option()},
                         {"option_shared", shared_option()},
                         {"option_relative_xl", option(PositionEmbedding::kRelativeXl)},
                         {"option_alibi", alibi_option()},
                         {"option_complex", complex_option()},
                         {"option_additive", additive_option()},
                         {"option_bare", bare_option()},
                         {"option_disagreement_subspace", disagreement_option(Disagreement::kSubspace)},
                         {"option_disagreement_output", disagreement_option(Disagreement::kOutput)},
                         {"option_disagreement_map", disagreement_option(Disagreement::kMap)}}) {
    config.resolve(0, 7);
    all.push_back({name, config});
  }
  return all;
}

class EveryModelOracle : public ::testing::TestWithParam<std::tuple<Case, Precision>> {};

TEST_P(EveryModelOracle, AgreesInLogitsLossGradientsAndTrainedWeights) {
  const auto& [model, precision] = GetParam();
  const Bounds bounds = precision == Precision::kFp64 ? Bounds{1e-12, 1e-9, 1e-9} : Bounds{1e-5, 1e-4, 1e-4};
  expect_agreement(model.name, model.config, precision, bounds);
}

INSTANTIATE_TEST_SUITE_P(Models, EveryModelOracle,
                         ::testing::Combine(::testing::ValuesIn(cases()),
                                            ::testing::Values(Precision::kFp64, Precision::kFp32)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name + "_" + name_of(std::get<1>(info.param));
                         });

/// `error_name`: relative L2 error that the same type costs Transformers.
void expect_logits_as_exact_as_theirs(Precision precision, const std::string& error_name) {
  for (const auto& [name, config] : {std::pair{"gpt2", gpt2()}, std::pair{"llama", llama()}}) {
    Oracle oracle(name, config, precision);
    const Tensor logits = oracle.logits();
    const Tensor expected = as_matrix(oracle.tensor("logits"));
    double error = 0, norm = 0;
    for (int64_t i = 0; i < expected.num_elements(); ++i) {
      error += std::pow(element(logits, i) - element(expected, i), 2);
      norm += std::pow(element(expected, i), 2);
    }
    const double theirs = element(oracle.tensor(error_name), 0);
    std::printf("%s: relative L2 error of logits %.2e, Transformers' own %.2e\n", name,
                std::sqrt(error / norm), theirs);
    EXPECT_LE(std::sqrt(error / norm), 1.1 * theirs) << name;
  }
}

TEST(ModelOracle, LogitsInBf16AreAsExactAsHuggingFaces) {
  expect_logits_as_exact_as_theirs(Precision::kBf16, "bf16_error");
}

TEST(ModelOracle, LogitsInFp16AreAsExactAsHuggingFaces) {
  expect_logits_as_exact_as_theirs(Precision::kFp16, "fp16_error");
}

}  // namespace
}  // namespace trireme::testing
