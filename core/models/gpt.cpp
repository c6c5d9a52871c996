#include "core/models/gpt.h"

#include "core/models/gpt_blocks.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

/// The last of every `length` rows.
Tensor last_rows(Context& context, const Tensor& x, int64_t length) {
  Tensor last = context.activation({x.rows() / length, x.cols()}, x.dtype());
  for (int64_t sample = 0; sample < last.rows(); ++sample) {
    Tensor row = last.slice(0, sample, 1);
    ops::cast(context, x.slice(0, (sample + 1) * length - 1, 1), row);
  }
  return last;
}

int64_t count(const Parameter& parameter) {
  int64_t sum = 0;
  for (const ParameterPiece& piece : parameter.pieces) sum += num_elements(piece.global_shape);
  return sum;
}

}  // namespace

Gpt::Gpt(const GptConfig& config, nn::LayerBuilder& builder)
    : config_(config), residual_shards_(builder.residual_shards()) {
  auto embedding = std::make_unique<GptEmbeddingBlock>(config, builder);
  nn::VocabularyEmbedding* tied = config.untie_embeddings_and_output_weights ? nullptr : &embedding->word();
  blocks_.push_back(std::move(embedding));
  for (int64_t i = 0; i < config.num_layers; ++i)
    blocks_.push_back(std::make_unique<GptLayerBlock>(config, i, builder));
  blocks_.push_back(std::make_unique<GptHeadBlock>(config, builder, tied));
}

std::vector<Shape> Gpt::boundary_shapes(const Batch& batch) const {
  return {{batch.num_samples() * batch.length() / residual_shards_, config_.hidden_size}};
}

Variable Gpt::loss(Context& context, ForwardPass& pass) {
  std::vector<Variable> variables;
  for (const auto& block : blocks_) variables = block->forward(context, pass, variables);
  return variables[0];
}

Tensor Gpt::logits(Context& context, ForwardPass& pass, bool last_position_only) {
  const GradModeGuard no_grad(context, false);
  std::vector<Variable> variables;
  for (size_t i = 0; i + 1 < blocks_.size(); ++i) variables = blocks_[i]->forward(context, pass, variables);
  if (pass.cache != nullptr) pass.cache->advance(pass.batch.length());
  Tensor x = variables[0].value();
  if (last_position_only) x = last_rows(context, x, pass.batch.length());
  return static_cast<GptHeadBlock&>(*blocks_.back()).logits(context, x);
}

std::vector<Parameter*> Gpt::parameters() {
  std::vector<Parameter*> parameters;
  for (const auto& block : blocks_) block->collect(parameters);
  return parameters;
}

std::unique_ptr<KeyValueCache> Gpt::make_cache(Context&, int64_t num_samples, int64_t capacity) {
  return std::make_unique<KeyValueCache>(config_.num_layers, num_samples, capacity);
}

int64_t Gpt::num_parameters() const {
  std::vector<Parameter*> parameters;
  for (const auto& block : blocks_) block->collect(parameters);
  int64_t sum = 0;
  for (const Parameter* parameter : parameters) sum += count(*parameter);
  return sum;
}

int64_t Gpt::num_flop_parameters() const {
  std::vector<Parameter*>
      looked_up;  // the embedding block looks rows up; a tied head multiplies by one of them
  blocks_.front()->collect(looked_up);
  int64_t sum = num_parameters();
  for (const Parameter* parameter : looked_up) sum -= count(*parameter);
  if (!config_.untie_embeddings_and_output_weights) sum += config_.vocab_size * config_.hidden_size;
  return sum;
}

}  // namespace trireme
