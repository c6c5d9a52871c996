#include "core/nn/score_tables.h"

#include "core/autograd/functions/linear.h"
#include "core/nn/parameters.h"
#include "core/ops/sinusoid.h"

namespace trireme::nn {
namespace {

Parameter* pointer(std::optional<Parameter>& parameter) {
  return parameter ? &*parameter : nullptr;
}

std::vector<Parameter*> those_there(std::initializer_list<std::optional<Parameter>*> candidates) {
  std::vector<Parameter*> there;
  for (std::optional<Parameter>* candidate : candidates)
    if (*candidate) there.push_back(&**candidate);
  return there;
}

}  // namespace

ScoreTables::ScoreTables(const AttentionSpec& spec) {
  const ScoreSpec& score = spec.score;
  const Shape by_distance{2 * score.max_distance + 1, spec.head_dim}, by_head{spec.num_heads, spec.head_dim};
  const auto table = [&](const char* name, const Shape& shape) {
    return whole_parameter(spec.name + name, shape, score.init, true);
  };
  const auto bias = [&](const char* name) {
    return whole_parameter(spec.name + name, by_head, zeros(), false);
  };
  switch (score.positions) {
    case ScoreSpec::Positions::kRelative:
      relative_keys_ = table(".relative_key.weight", by_distance);
      if (score.relative_values) relative_values_ = table(".relative_value.weight", by_distance);
      break;
    case ScoreSpec::Positions::kRelativeXl:
      position_weight_ = table(".position.weight", {spec.num_heads * spec.head_dim, score.sinusoid_width});
      content_bias_ = bias(".content.bias");
      position_bias_ = bias(".position.bias");
      break;
    case ScoreSpec::Positions::kAlibi:
      slopes_ = ops::alibi_slopes(spec.num_heads, 0, spec.num_heads);
      break;
    case ScoreSpec::Positions::kNone:
      break;
  }
  if (score.additive) additive_ = table(".score.weight", by_head);
}

bool ScoreTables::empty() const {
  return !relative_keys_ && !position_weight_ && !additive_ && slopes_.empty();
}

std::vector<Parameter*> ScoreTables::shared_by_heads() {
  return those_there({&relative_keys_, &relative_values_});
}

std::vector<Parameter*> ScoreTables::of_each_head() {
  return those_there({&position_weight_, &content_bias_, &position_bias_, &additive_});
}

void ScoreTables::collect(std::vector<Parameter*>& parameters) {
  for (Parameter* parameter : shared_by_heads()) parameters.push_back(parameter);
  for (Parameter* parameter : of_each_head()) parameters.push_back(parameter);
}

void ScoreTables::keep_slopes(int64_t first_head, int64_t num_heads) {
  if (!slopes_.empty()) slopes_ = {slopes_.begin() + first_head, slopes_.begin() + first_head + num_heads};
}

ScoreParameters ScoreTables::parameters() {
  return {.relative_keys = pointer(relative_keys_),
          .relative_values = pointer(relative_values_),
          .content_bias = pointer(content_bias_),
          .position_bias = pointer(position_bias_),
          .additive = pointer(additive_),
          .slopes = slopes_};
}

Variable ScoreTables::distances(Context& context, const AttentionArguments& arguments, DType dtype) {
  if (!position_weight_) return Variable();
  const int64_t count = arguments.shape.query_length + arguments.shape.key_length - 1;
  Tensor numbers = context.workspace({count}, DType::kInt32);
  for (int64_t row = 0; row < count; ++row)
    numbers.data<int32_t>()[row] =
        static_cast<int32_t>(ops::distance_of_row(arguments.shape, arguments.options.mask, row));
  Tensor sinusoids = context.activation({count, position_weight_->shape[1]}, dtype);
  ops::sinusoid_rows(ops::SinusoidForm::kConcatenated, numbers, sinusoids);
  return linear(context, Variable(sinusoids), *position_weight_, nullptr);
}

}  // namespace trireme::nn
