#include "core/models/transformer_layer.h"

#include "core/autograd/functions/recompute.h"

namespace trireme {

TransformerLayer::TransformerLayer(const ModelConfig& config, const LayerPlace& place,
                                   nn::LayerBuilder& builder)
    : index_(place.index), post_(config.norm_position == NormPosition::kPost) {
  struct Names {
    std::string norm;
    std::string last;  ///< module whose output is added: the site of dropout
  };
  std::vector<Names> names;
  parts_.push_back(make_self_attention(config, place, builder));
  names.push_back({post_ ? "attention_norm" : "input_norm", "attention.output"});
  if (place.reads_source) {
    parts_.push_back(make_cross_attention(config, place, builder));
    names.push_back({"cross_norm", "cross_attention.output"});
  }
  if (config.feed_forward) {
    parts_.push_back(make_feed_forward(config, place, builder));
    names.push_back({"mlp_norm", "mlp.down"});
  }

  const auto norm = [&](size_t part) { return norm_spec(config, place.name + names[part].norm); };
  const auto dropout = [&](size_t part) {
    return nn::DropoutSpec{place.name + names[part].last, config.hidden_dropout, place.sequence};
  };
  const bool norm_of_rows =
      config.normalization == Normalization::kLayerNorm || config.normalization == Normalization::kRmsNorm;
  if (!config.residual_connections || !norm_of_rows) {
    for (size_t part = 0; part < parts_.size(); ++part) {
      Surroundings around;
      around.norm = optional_norm(config, place.name + names[part].norm, place.sequence, builder);
      if (config.residual_connections)
        around.add = builder.residual_add(dropout(part));
      else
        around.dropout = builder.dropout(dropout(part));
      switched_.push_back(std::move(around));
    }
    return;
  }
  if (post_) {
    for (size_t part = 0; part < parts_.size(); ++part)
      sums_.push_back(builder.residual_norm(norm(part), dropout(part)));
    return;
  }
  first_norm_ = builder.fork_norm(norm(0));
  for (size_t part = 1; part < parts_.size(); ++part)
    sums_.push_back(builder.residual_norm(norm(part), dropout(part - 1)));
  last_sum_ = builder.residual_add(dropout(parts_.size() - 1));
}

void TransformerLayer::collect(std::vector<Parameter*>& parameters) {
  if (first_norm_) first_norm_->collect(parameters);
  for (size_t part = 0; part < parts_.size(); ++part) {
    parts_[part]->collect(parameters);
    if (part < sums_.size()) sums_[part]->collect(parameters);
    if (part < switched_.size() && switched_[part].norm) switched_[part].norm->collect(parameters);
  }
}

void TransformerLayer::collect_buffers(std::vector<Buffer*>& buffers) {
  for (const Surroundings& around : switched_)
    if (around.norm) around.norm->collect_buffers(buffers);
}

double TransformerLayer::products_per_token(int64_t seq_length) const {
  double products = 0;
  for (const auto& part : parts_) products += part->products_per_token(seq_length);
  return products;
}

std::vector<Variable> TransformerLayer::forward(Context& context, ForwardPass& pass,
                                                const std::vector<Variable>& inputs) {
  const auto run = [this, &pass](Context& context,
                                 const std::vector<Variable>& inputs) -> std::vector<Variable> {
    return {this->run(context, pass, inputs[0], inputs.size() > 1 ? inputs[1] : Variable())};
  };
  const RecomputeGranularity granularity = pass.recompute.of_layer(index_);
  std::vector<Variable> outputs;
  if (granularity != RecomputeGranularity::kFull || !context.grad_enabled) {
    const RecipeGuard recipes(context, granularity == RecomputeGranularity::kSelective);
    outputs = run(context, inputs);
  } else {
    std::vector<Parameter*> parameters;
    collect(parameters);
    const auto run_again = [run, &pass](Context& context, const std::vector<Variable>& inputs) {
      const PerTerm<LossSum> counted = pass.losses;
      std::vector<Variable> outputs = run(context, inputs);
      if (context.grad_enabled) pass.losses = counted;  // backward's run: they are counted already
      return outputs;
    };
    outputs = trireme::recompute(context, parameters, run_again, inputs);
  }
  if (inputs.size() > 1) outputs.push_back(inputs[1]);
  return outputs;
}

Variable TransformerLayer::run(Context& context, ForwardPass& pass, const Variable& x,
                               const Variable& memory) {
  if (!switched_.empty()) return run_switched(context, pass, x, memory);
  return first_norm_ ? run_pre_norm(context, pass, x, memory) : run_post_norm(context, pass, x, memory);
}

Variable TransformerLayer::run_pre_norm(Context& context, ForwardPass& pass, const Variable& x,
                                        const Variable& memory) {
  ResidualNormOutput stream = first_norm_->forward(context, x);
  for (size_t part = 0;; ++part) {
    const Variable branch = parts_[part]->forward(context, pass, std::move(stream.normalized), memory);
    if (part == sums_.size()) return last_sum_->forward(context, pass, branch, stream.sum);
    stream = sums_[part]->forward(context, pass, branch, stream.sum);
  }
}

Variable TransformerLayer::run_post_norm(Context& context, ForwardPass& pass, const Variable& x,
                                         const Variable& memory) {
  Variable stream = x;
  for (size_t part = 0; part < parts_.size(); ++part) {
    const Variable branch = parts_[part]->forward(context, pass, stream, memory);
    stream = sums_[part]->forward(context, pass, branch, stream).normalized;
  }
  return stream;
}

Variable TransformerLayer::run_switched(Context& context, ForwardPass& pass, const Variable& x,
                                        const Variable& memory) {
  Variable stream = x;
  for (size_t part = 0; part < parts_.size(); ++part) {
    const Surroundings& around = switched_[part];
    const Variable branch = parts_[part]->forward(
        context, pass, post_ ? stream : normalized(context, pass, around.norm.get(), stream), memory);
    stream = around.add ? around.add->forward(context, pass, branch, stream)
                        : around.dropout->forward(context, pass, branch);
    if (post_) stream = normalized(context, pass, around.norm.get(), stream);
  }
  return stream;
}

}  // namespace trireme
