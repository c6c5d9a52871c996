#include "core/autograd/functions/scored_attention.h"

#include "core/autograd/functions/support.h"
#include "core/ops/checks.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

ops::ScoreTerms terms_of(const ScoreParameters& parameters, const Tensor& distances) {
  const auto value = [](const Parameter* parameter) {
    return parameter == nullptr ? Tensor() : parameter->value;
  };
  return {value(parameters.relative_keys), value(parameters.relative_values), distances,
          value(parameters.content_bias),  value(parameters.position_bias),   parameters.slopes,
          value(parameters.additive)};
}

class ScoredAttentionFunction final : public Function {
 public:
  ScoredAttentionFunction(const AttentionArguments& arguments, const ScoreParameters& parameters,
                          AttentionProjections projections, const Variable& distances, Tensor probabilities)
      : arguments_(arguments),
        parameters_(parameters),
        projections_(std::move(projections)),
        distances_(distances.value()),
        probabilities_(std::move(probabilities)) {
    for (Parameter* parameter : all(parameters_))
      if (parameter != nullptr) parameter->expect();
  }
  const char* name() const override { return "scored_attention"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const ops::AttentionShape& shape = arguments_.shape;
    const ops::ScoreTerms terms = terms_of(parameters_, distances_);
    AttentionProjections gradients = projections_.gradients(context, shape);
    const PackedSlices in = projections_.slices(shape);
    PackedSlices d_in = gradients.slices(shape);
    ops::ScoreTermGradients d_terms = room_for(context, terms);
    if (!d_outputs[0].defined()) {
      d_outputs[0] = context.activation(in.query.shape(), in.query.dtype());
      ops::fill(context, d_outputs[0], 0.0);
    }
    ops::scored_attention_backward(context, shape, arguments_.options, terms, in.query, in.key, in.value,
                                   probabilities_, d_outputs[0], d_outputs[1], d_in.query, d_in.key,
                                   d_in.value, d_terms);
    contribute(context, d_terms);
    std::vector<Tensor> d_inputs = gradients.take(context, shape);
    gradients.rotate(context, arguments_, true);
    if (distances_.defined()) {
      d_inputs.push_back(context.activation(distances_.shape(), distances_.dtype()));
      ops::cast(context, d_terms.distances, d_inputs.back());
    }
    projections_ = AttentionProjections();
    distances_ = probabilities_ = Tensor();
    return d_inputs;
  }

 private:
  static std::vector<Parameter*> all(const ScoreParameters& parameters) {
    return {parameters.relative_keys, parameters.relative_values, parameters.content_bias,
            parameters.position_bias, parameters.additive};
  }

  static ops::ScoreTermGradients room_for(Context& context, const ops::ScoreTerms& terms) {
    const auto like = [&](const Tensor& term) {
      return term.defined() ? context.workspace(term.shape(), ops::wide_dtype(term.dtype())) : Tensor();
    };
    return {like(terms.relative_keys), like(terms.relative_values), like(terms.distances),
            like(terms.content_bias),  like(terms.position_bias),   like(terms.additive)};
  }

  /// One kernel makes all gradients, so there is nothing to leave for later.
  void contribute(Context& context, const ops::ScoreTermGradients& d_terms) const {
    const std::vector<Tensor> gradients = {d_terms.relative_keys, d_terms.relative_values,
                                           d_terms.content_bias, d_terms.position_bias, d_terms.additive};
    const std::vector<Parameter*> parameters = all(parameters_);
    for (size_t i = 0; i < parameters.size(); ++i)
      if (parameters[i] != nullptr) contribute_gradient(context, *parameters[i], gradients[i]);
  }

  AttentionArguments arguments_;
  ScoreParameters parameters_;
  AttentionProjections projections_;
  Tensor distances_, probabilities_;
};

}  // namespace

ScoredAttention scored_attention(Context& context, const AttentionInputs& inputs, const Variable& distances,
                                 const AttentionArguments& arguments, const ScoreParameters& parameters) {
  const ops::AttentionShape& shape = arguments.shape;
  AttentionProjections projections(inputs);
  projections.rotate(context, arguments, false);
  const PackedSlices in = projections.slices(shape);
  Tensor out = context.activation(in.query.shape(), in.query.dtype());
  Tensor probabilities = Tensor::allocate(
      context.allocator, {shape.num_samples, shape.num_heads, shape.query_length, shape.key_length},
      ops::wide_dtype(in.query.dtype()), MemoryCategory::kActivations);
  ops::scored_attention_forward(context, shape, arguments.options, terms_of(parameters, distances.value()),
                                in.query, in.key, in.value, out, probabilities);
  std::vector<Variable> variables = inputs.variables();
  if (distances.defined()) variables.push_back(distances);
  const bool has_parameters = parameters.relative_keys != nullptr || parameters.relative_values != nullptr ||
                              parameters.content_bias != nullptr || parameters.additive != nullptr;
  if (!Function::needed(context, variables, has_parameters))
    return {Variable(std::move(out)), Variable(std::move(probabilities))};
  auto node = std::make_shared<ScoredAttentionFunction>(arguments, parameters, std::move(projections),
                                                        distances, probabilities);
  std::vector<Variable> outputs =
      Function::record(context, std::move(node), variables, {std::move(out), std::move(probabilities)});
  return {std::move(outputs[0]), std::move(outputs[1])};
}

}  // namespace trireme
