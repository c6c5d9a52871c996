#include "core/models/block_model.h"

#include "core/nn/evaluation_guard.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

int64_t count(const std::vector<Parameter*>& parameters) {
  int64_t sum = 0;
  for (const Parameter* parameter : parameters)
    for (const ParameterPiece& piece : parameter->pieces) sum += num_elements(piece.global_shape);
  return sum;
}

}  // namespace

Tensor last_rows(Context& context, const Tensor& x, int64_t length) {
  Tensor last = context.activation({x.rows() / length, x.cols()}, x.dtype());
  for (int64_t sample = 0; sample < last.rows(); ++sample) {
    Tensor row = last.slice(0, sample, 1);
    ops::cast(context, x.slice(0, (sample + 1) * length - 1, 1), row);
  }
  return last;
}

Shape BlockModel::stream_shape(const Batch& batch, Sequence sequence) const {
  return {batch.num_samples() * batch.length(sequence) / residual_shards_, config_.hidden_size};
}

std::vector<Variable> BlockModel::run(Context& context, ForwardPass& pass, size_t begin, size_t end,
                                      std::vector<Variable> variables) {
  for (size_t i = begin; i < end; ++i) variables = blocks_[i]->forward(context, pass, variables);
  return variables;
}

Variable BlockModel::loss(Context& context, ForwardPass& pass) {
  return run(context, pass, 0, blocks_.size(), {})[0];
}

std::vector<Variable> BlockModel::encode(Context& context, ForwardPass& pass) {
  std::vector<Variable> memory;
  if (pass.cache != nullptr && !pass.cache->memory.empty()) {
    for (const Tensor& tensor : pass.cache->memory) memory.emplace_back(tensor);
    return memory;
  }
  memory = run(context, pass, 0, decoder_begin_, {});
  if (pass.cache != nullptr)
    for (const Variable& variable : memory) pass.cache->memory.push_back(variable.value());
  return memory;
}

Tensor BlockModel::logits(Context& context, ForwardPass& pass, bool last_position_only) {
  const EvaluationGuard evaluation(context);
  Tensor x = run(context, pass, decoder_begin_, blocks_.size() - 1, encode(context, pass))[0].value();
  if (pass.cache != nullptr) pass.cache->advance(pass.batch.length());
  if (last_position_only) x = last_rows(context, x, pass.batch.length());
  return head().logits(context, pass, x);
}

std::vector<Parameter*> BlockModel::parameters() {
  std::vector<Parameter*> parameters;
  for (const auto& block : blocks_) block->collect(parameters);
  return parameters;
}

std::vector<Buffer*> BlockModel::buffers() {
  std::vector<Buffer*> buffers;
  for (const auto& block : blocks_) block->collect_buffers(buffers);
  return buffers;
}

std::unique_ptr<KeyValueCache> BlockModel::make_cache(Context&, int64_t num_samples, int64_t capacity) {
  return std::make_unique<KeyValueCache>(config_.num_layers, num_samples, capacity);
}

int64_t BlockModel::num_parameters() const {
  std::vector<Parameter*> parameters;
  for (const auto& block : blocks_) block->collect(parameters);
  return count(parameters);
}

int64_t BlockModel::num_flop_parameters() const {
  std::vector<Parameter*> multiplied;
  for (const auto& block : blocks_) {
    if (block->kind() == BlockKind::kEmbedding) continue;
    block->collect(multiplied);
    block->collect_shared(multiplied);
  }
  return count(multiplied);
}

}  // namespace trireme
