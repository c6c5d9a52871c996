// Every option of section `model` does something, and every word that it may have.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/field_texts.h"
#include "core/nn/evaluation_guard.h"
#include "core/ops/elementwise.h"
#include "tests/support/field_settings.h"
#include "tests/support/gradient_check.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

constexpr int64_t kLength = 7, kSource = 6, kSamples = 3, kVocabulary = 11;

/// What an option changes first; all before it must stay, bit by bit.
enum class Effect { kParameters, kInitialValues, kLogits, kTrainingLoss, kLogitsAfterwards, kNothing };

/// `option` set to `other` beside `companions`, against what it is without.
struct Row {
  std::string option, other;
  Effect effect;
  Settings companions = {};
};

std::vector<Row> rows() {
  using enum Effect;
  const Settings bert = {{"family", "bert"}}, transformer = {{"family", "transformer"}},
                 recurrent = {{"family", "recurrent"}}, rope = {{"position_embedding_type", "rope"}},
                 relative = {{"position_embedding_type", "relative"}},
                 two = {{"share_source_embedding", "false"}}, batch_norm = {{"normalization", "BatchNorm"}};
  const auto with = [](Settings settings, const Settings& more) {
    settings.insert(more.begin(), more.end());
    return settings;
  };
  const Settings attends = with(recurrent, {{"recurrent_attention", "dot"}});
  return {
      {"family", "bert", kParameters},
      {"family", "transformer", kParameters},
      {"family", "recurrent", kParameters},
      {"num_layers", "3", kParameters},
      {"encoder_num_layers", "3", kParameters, transformer},
      {"hidden_size", "12", kParameters},
      {"ffn_hidden_size", "10", kParameters},
      {"num_attention_heads", "4", kLogits},
      {"num_query_groups", "1", kParameters},
      {"kv_channels", "6", kParameters},
      {"vocab_size", "12", kParameters},
      {"source_vocab_size", "12", kParameters, with(transformer, two)},
      {"max_position_embeddings", "9", kParameters},
      {"num_token_types", "3", kParameters, bert},
      {"position_embedding_type", "sinusoidal", kParameters},
      {"position_embedding_type", "rope", kParameters},
      {"position_embedding_type", "relative", kParameters},
      {"position_embedding_type", "relative_xl", kParameters},
      {"position_embedding_type", "alibi", kParameters},
      {"position_embedding_type", "complex", kParameters, {{"untie_embeddings_and_output_weights", "true"}}},
      {"position_embedding_type", "none", kParameters},
      {"position_embedding_type", "none", kLogits, transformer},
      {"position_embedding_type", "rope", kLogits, transformer},
      {"position_embedding_type", "alibi", kLogits, transformer},
      {"sinusoidal_form", "concatenated", kLogits, transformer},
      {"sinusoidal_form", "tensor2tensor", kLogits, transformer},
      {"rotary_base", "100", kLogits, rope},
      {"rotary_interleaved", "true", kLogits, with(rope, {{"kv_channels", "8"}})},
      {"relative_max_distance", "2", kParameters, relative},
      {"relative_values", "false", kParameters, relative},
      {"attention_score", "additive", kParameters},
      {"scale_attention", "false", kLogits},
      {"share_query_key", "true", kParameters},
      {"disagreement", "subspace", kTrainingLoss},
      {"disagreement", "output", kTrainingLoss},
      {"disagreement", "map", kTrainingLoss},
      {"disagreement_coefficient", "2", kTrainingLoss, {{"disagreement", "output"}}},
      {"scale_embeddings", "true", kLogits},
      {"share_source_embedding", "false", kParameters, transformer},
      {"normalization", "RMSNorm", kParameters},
      {"normalization", "BatchNorm", kLogits},
      {"normalization", "none", kParameters},
      {"batch_norm_momentum", "0.3", kLogitsAfterwards, batch_norm},
      {"batch_norm_padding", "true", kTrainingLoss, batch_norm},
      {"norm_position", "post", kParameters},
      {"norm_position", "pre", kParameters, transformer},
      {"norm_epsilon", "0.01", kLogits},
      {"norm_epsilon", "0.01", kLogits, with(recurrent, {{"recurrent_norm", "true"}})},
      {"embedding_norm", "true", kParameters},
      {"activation", "gelu", kLogits},
      {"activation", "relu", kLogits},
      {"activation", "sigmoid", kLogits},
      {"activation", "tanh", kLogits},
      {"activation", "swiglu", kParameters},
      {"activation", "tanh", kLogits, with(bert, {{"feed_forward", "false"}})},
      {"feed_forward", "false", kParameters},
      {"residual_connections", "false", kLogits},
      {"add_bias_linear", "false", kParameters},
      {"add_bias_linear", "false", kParameters, recurrent},
      {"add_norm_bias", "false", kParameters},
      {"untie_embeddings_and_output_weights", "true", kParameters},
      {"next_sentence_head", "false", kParameters, bert},
      {"num_classes", "3", kParameters, bert},
      {"label_smoothing", "0.1", kTrainingLoss},
      {"label_smoothing_form", "others", kTrainingLoss, {{"label_smoothing", "0.1"}}},
      {"label_smoothing_form", "others-normalized", kTrainingLoss, {{"label_smoothing", "0.1"}}},
      {"hidden_dropout", "0.3", kTrainingLoss},
      {"hidden_dropout", "0.3", kTrainingLoss, recurrent},
      {"attention_dropout", "0.3", kTrainingLoss},
      {"init_method", "truncated_normal", kInitialValues},
      {"init_method", "xavier_uniform", kInitialValues},
      {"init_method_std", "0.03", kInitialValues},
      {"init_method_std", "0.03", kInitialValues, transformer},
      {"scale_init_by_depth", "false", kInitialValues},
      {"recurrent_cell", "rnn", kParameters, recurrent},
      {"recurrent_cell", "lstm", kParameters, recurrent},
      {"recurrent_attention", "dot", kParameters, recurrent},
      {"recurrent_attention", "additive", kParameters, recurrent},
      {"attention_context", "output", kParameters, attends},
      {"bidirectional_encoder", "true", kParameters, recurrent},
      {"recurrent_norm", "true", kParameters, recurrent},
  };
}

/// A tiny model of the family of `settings`, not resolved.
ModelConfig config_of(const Settings& settings) {
  const auto family = settings.find("family");
  const bool recurrent = family != settings.end() && family->second == "recurrent";
  Settings all = settings;
  all.insert({{"num_layers", "2"},
              {"hidden_size", "8"},
              {"num_attention_heads", recurrent ? "1" : "2"},
              {"vocab_size", std::to_string(kVocabulary)},
              {"hidden_dropout", "0"},
              {"attention_dropout", "0"}});
  return with_settings(ModelConfig(), all);  // the family comes first
}

Tensor count_up(Context& context, const Shape& shape) {
  Tensor positions = context.workspace(shape, DType::kInt32);
  for (int64_t i = 0; i < positions.num_elements(); ++i)
    positions.data<int32_t>()[i] = static_cast<int32_t>(i % shape[1]);
  return positions;
}

/// Something for every family.
Batch make_batch(Context& context) {
  Batch batch;
  const Shape shape = {kSamples, kLength}, source = {kSamples, kSource};
  batch.tokens = random_ids(context, shape, kVocabulary, 1);
  batch.targets = random_ids(context, shape, kVocabulary, 2);
  batch.segments = random_ids(context, shape, 2, 3);
  batch.positions = count_up(context, shape);
  batch.labels = random_ids(context, {kSamples}, 2, 4);
  batch.source_tokens = random_ids(context, source, kVocabulary, 5);
  batch.source_positions = count_up(context, source);
  batch.lengths = context.workspace({kSamples}, DType::kInt32);
  batch.source_lengths = context.workspace({kSamples}, DType::kInt32);
  batch.sample_ids = context.workspace({kSamples}, DType::kInt64);
  for (int32_t i = 0; i < kSamples; ++i) {
    batch.source_lengths.data<int32_t>()[i] = static_cast<int32_t>(kSource) - i;
    batch.lengths.data<int32_t>()[i] = static_cast<int32_t>(kLength) - 2 * i;
    for (int64_t t = kLength - 2 * i; t < kLength; ++t) batch.targets.row<int32_t>(i)[t] = -1;
    batch.sample_ids.data<int64_t>()[i] = i;
  }
  return batch;
}

void append(const Tensor& tensor, std::vector<double>& numbers) {
  for (int64_t i = 0; i < tensor.num_elements(); ++i) numbers.push_back(element(tensor, i));
}

/// What can be seen of a model.
struct Seen {
  std::map<std::string, std::string> parameters;  ///< shapes
  std::map<std::string, std::vector<double>> initial_values;
  std::vector<double> logits, training;  ///< loss and gradients
  std::vector<double> logits_after;      ///< the pass of training
};

Seen look(const Settings& settings) {
  ModelConfig config = config_of(settings);
  config.resolve(0, kLength);
  Context context;
  TinyModel tiny(context, config, Precision::kFp64);
  Seen seen;
  for (const Parameter* parameter : tiny.store->parameters()) {
    for (const ParameterPiece& piece : parameter->pieces)
      seen.parameters[piece.name] = to_string(piece.global_shape);
    append(parameter->value, seen.initial_values[parameter->name]);
  }
  const Batch batch = make_batch(context);
  const auto logits = [&](std::vector<double>& numbers) {
    if (config.num_classes > 0) return;  // of samples
    const EvaluationGuard evaluation(context);
    ForwardPass pass{.batch = batch};
    append(tiny.model->logits(context, pass, false), numbers);
  };
  logits(seen.logits);
  ForwardPass pass{.batch = batch, .seed = 7, .step = 1};
  tiny.store->begin_accumulation();
  const Variable loss = tiny.model->loss(context, pass);
  Tensor one = context.workspace({1}, loss.value().dtype());
  ops::fill(context, one, 1.0);
  append(loss.value(), seen.training);
  backward(context, {{loss, one}});
  tiny.store->finish_accumulation(context);
  for (const Parameter* parameter : tiny.store->parameters()) append(parameter->gradient, seen.training);
  logits(seen.logits_after);
  return seen;
}

Effect first_difference(const Seen& a, const Seen& b) {
  if (a.parameters != b.parameters) return Effect::kParameters;
  if (a.initial_values != b.initial_values) return Effect::kInitialValues;
  if (a.logits != b.logits) return Effect::kLogits;
  if (a.training != b.training) return Effect::kTrainingLoss;
  return a.logits_after != b.logits_after ? Effect::kLogitsAfterwards : Effect::kNothing;
}

const char* name_of(Effect effect) {
  static constexpr const char* kNames[] = {"the parameters",
                                           "the initial values",
                                           "the logits",
                                           "the loss or gradients in training",
                                           "the logits after a pass of training",
                                           "nothing"};
  return kNames[static_cast<size_t>(effect)];
}

TEST(OptionEffects, EveryOptionChangesWhatItSaysAndNothingBeforeThat) {
  for (const Row& row : rows()) {
    std::string beside;
    for (const auto& [key, value] : row.companions) beside += fmt::format(" {}={}", key, value);
    SCOPED_TRACE(fmt::format("{}={} beside{}", row.option, row.other, beside));
    Settings changed = row.companions;
    changed[row.option] = row.other;
    for (const auto& [name, value] : field_texts(config_of(changed)))
      if (name == row.option) {
        ASSERT_EQ(value, row.other) << "the row's value is none of the option's";
      }
    EXPECT_STREQ(name_of(first_difference(look(row.companions), look(changed))), name_of(row.effect));
  }
}

TEST(OptionEffects, EveryOptionAndEveryWordOfItHasARow) {
  // Without a cell there is no recurrent model: it is what the others say.
  std::map<std::string, std::set<std::string>> tried = {{"recurrent_cell", {"none"}}};
  for (const Row& row : rows()) {
    tried[row.option].insert(row.other);
    for (const auto& [name, value] : field_texts(config_of(row.companions)))
      if (name == row.option) tried[row.option].insert(value);
  }
  ModelConfig config;
  const Settings nothing;
  FieldSetter options(nothing);
  config.fields(options);
  for (const auto& [name, value] : field_texts(config)) {
    EXPECT_TRUE(tried.contains(name)) << "model." << name << " has no row: add {\"" << name
                                      << "\", another value, what it changes first, what it needs beside it} "
                                         "to rows() of tests/unit/core/models/option_effects_test.cpp";
    for (const std::string& word : options.words[name])
      EXPECT_TRUE(tried[name].contains(word))
          << "model." << name << ": " << word << " has no row in rows() of "
          << "tests/unit/core/models/option_effects_test.cpp";
  }
}

}  // namespace
}  // namespace trireme::testing
