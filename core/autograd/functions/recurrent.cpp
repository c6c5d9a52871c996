#include "core/autograd/functions/recurrent.h"

#include "core/autograd/functions/linear.h"
#include "core/base/error.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

Tensor state_tensor(Context& context, const ops::RecurrentOptions& options, DType dtype) {
  return context.activation({options.num_samples, options.hidden_size}, dtype);
}

ops::RecurrentState make_state(Context& context, const ops::RecurrentOptions& options, DType dtype) {
  ops::RecurrentState state{state_tensor(context, options, dtype)};
  if (options.kind == ops::RecurrentKind::kLstm) state.cell = state_tensor(context, options, dtype);
  return state;
}

/// The values of the first state, zeros where none is given.
ops::RecurrentState first_state(Context& context, const ops::RecurrentOptions& options, DType dtype,
                                const RecurrentVariables& first) {
  ops::RecurrentState state = make_state(context, options, dtype);
  const auto set = [&](Tensor& tensor, const Variable& given) {
    if (given.defined()) {
      tensor = given.value();
    } else if (tensor.defined()) {
      ops::fill(context, tensor, 0.0);
    }
  };
  set(state.hidden, first.hidden);
  set(state.cell, first.cell);
  return state;
}

class Recurrent final : public Function {
 public:
  Recurrent(const ops::RecurrentOptions& options, Parameter& weight, Parameter* bias,
            const RecurrentVariables& inputs, ops::RecurrentState first, ops::RecurrentSaved saved)
      : options_(options),
        weight_(weight),
        bias_(bias),
        has_hidden_(inputs.hidden.defined()),
        has_cell_(inputs.cell.defined()),
        first_(std::move(first)),
        saved_(std::move(saved)) {
    weight.expect();
    if (bias != nullptr) bias->expect();
  }
  const char* name() const override { return "recurrent"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const DType dtype = weight_.value.dtype();
    const int64_t rows = options_.num_samples * options_.length;
    if (!d_outputs[0].defined()) {
      d_outputs[0] = context.activation({rows, options_.hidden_size}, dtype);
      ops::fill(context, d_outputs[0], 0.0);
    }
    ops::RecurrentState d_last{d_outputs[1]};
    if (d_outputs.size() > 2) d_last.cell = d_outputs[2];
    Tensor d_x = context.activation({rows, weight_.shape[0]}, dtype);
    Tensor d_recurrent = context.activation({rows, weight_.shape[0]}, dtype);
    ops::RecurrentState d_first = make_state(context, options_, dtype);
    ops::recurrent_backward(context, options_, {weight_.value, nullptr}, first_, saved_, d_outputs[0], d_last,
                            d_x, d_recurrent, d_first);
    context.weight_gradients.push(context, [d_recurrent, previous = saved_.previous_hidden, &weight = weight_,
                                            bias = bias_](Context& context) {
      contribute_bias(context, bias, d_recurrent);
      contribute_weight(context, weight, d_recurrent, previous);
    });
    first_ = ops::RecurrentState();
    saved_ = ops::RecurrentSaved();
    std::vector<Tensor> d_inputs = {std::move(d_x)};
    if (has_hidden_) d_inputs.push_back(std::move(d_first.hidden));
    if (has_cell_) d_inputs.push_back(std::move(d_first.cell));
    return d_inputs;
  }

 private:
  ops::RecurrentOptions options_;
  Parameter& weight_;
  Parameter* bias_;
  bool has_hidden_, has_cell_;
  ops::RecurrentState first_;
  ops::RecurrentSaved saved_;
};

}  // namespace

RecurrentResult recurrent(Context& context, const ops::RecurrentOptions& options, const Variable& x,
                          Parameter& weight, Parameter* bias, const RecurrentVariables& first) {
  const DType dtype = x.value().dtype();
  const bool has_cell = options.kind == ops::RecurrentKind::kLstm;
  if (first.cell.defined() && !has_cell) throw ShapeError("recurrent: a cell is given; only LSTM has one");
  ops::RecurrentState before = first_state(context, options, dtype, first);
  ops::RecurrentState last = make_state(context, options, dtype);
  ops::RecurrentSaved saved = ops::make_recurrent_saved(context, options, dtype);
  Tensor out = context.activation({options.num_samples * options.length, options.hidden_size}, dtype);
  ops::recurrent_forward(context, options, x.value(),
                         {weight.value, bias == nullptr ? nullptr : &bias->value}, before, out, last, saved);
  if (!Function::needed(context, {x}, true)) {
    RecurrentResult result{Variable(std::move(out)), {Variable(std::move(last.hidden))}};
    if (has_cell) result.last.cell = Variable(std::move(last.cell));
    return result;
  }
  std::vector<Variable> inputs = {x};
  for (const Variable& state : {first.hidden, first.cell})
    if (state.defined()) inputs.push_back(state);
  std::vector<Tensor> outputs = {std::move(out), std::move(last.hidden)};
  if (has_cell) outputs.push_back(std::move(last.cell));
  auto node = std::make_shared<Recurrent>(options, weight, bias, first, std::move(before), std::move(saved));
  std::vector<Variable> results = Function::record(context, std::move(node), inputs, std::move(outputs));
  RecurrentResult result{std::move(results[0]), {std::move(results[1])}};
  if (has_cell) result.last.cell = std::move(results[2]);
  return result;
}

}  // namespace trireme
