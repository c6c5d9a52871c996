#include "core/optim/optimizer.h"

#include <algorithm>

#include "core/ops/elementwise.h"
#include "core/ops/optimizer.h"

namespace trireme {
namespace {

/// One range of what the optimizer reads and writes.
struct Update {
  Tensor masters, gradients;
  Tensor values;  ///< the low-precision copy; undefined where values are the masters
  int64_t owned_begin = 0;
  bool weight_decay = true;

  /// The range's part of a tensor of owned elements.
  Tensor part(const Tensor& owned_flat) const {
    return owned_flat.slice(0, owned_begin, masters.num_elements());
  }
};

template <class Apply>
void update_owned(ParameterStore& store, Apply&& apply) {
  for (const ParameterStore::OwnedRange& owned : store.owned_decay_ranges()) {
    const auto whole = [&](const Tensor& flat) {
      return flat.slice(0, owned.range.begin, owned.range.length());
    };
    Update update{{}, whole(store.gradients()), {}, owned.owned_begin, owned.weight_decay};
    if (store.has_masters()) {
      update.masters = store.masters().slice(0, owned.owned_begin, owned.range.length());
      update.values = whole(store.values());
    } else {
      update.masters = whole(store.values());
    }
    apply(update);
  }
  for (Parameter* parameter : store.parameters()) ++parameter->version;
}

/// What a step tells the kernels.
struct StepScalars {
  double lr;
  int64_t step;
  double gradient_scale;
  double weight_decay;
};

/// One kernel over one range. `states`: the range's part of each state, in the order of
/// optimizer_state_names().
void apply(Context& context, const OptimizerConfig& config, const StepScalars& scalars, Update& update,
           std::vector<Tensor>& states) {
  const auto [lr, step, gradient_scale, weight_decay] = scalars;
  Tensor* copy = update.values.defined() ? &update.values : nullptr;
  size_t next = 0;
  const auto optional_state = [&](bool kept) { return kept ? &states[next++] : nullptr; };
  switch (config.optimizer) {
    case OptimizerKind::kAdamW:
    case OptimizerKind::kAdam:
      return ops::adam(context,
                       {.lr = lr,
                        .beta1 = config.adam_beta1,
                        .beta2 = config.adam_beta2,
                        .eps = config.adam_eps,
                        .weight_decay = weight_decay,
                        .decoupled_weight_decay = config.optimizer == OptimizerKind::kAdamW,
                        .bias_correction = config.adam_bias_correction,
                        .step = step,
                        .gradient_scale = gradient_scale},
                       update.masters, update.gradients, states[0], states[1], copy);
    case OptimizerKind::kAdagrad:
      return ops::adagrad(context,
                          {.lr = lr,
                           .eps = config.adagrad_eps,
                           .weight_decay = weight_decay,
                           .gradient_scale = gradient_scale},
                          update.masters, update.gradients, states[0], copy);
    case OptimizerKind::kRmsProp: {
      Tensor& squares = states[next++];
      Tensor* means = optional_state(config.rmsprop_centered);
      Tensor* momentum = optional_state(config.rmsprop_momentum != 0);
      return ops::rmsprop(context,
                          {.lr = lr,
                           .alpha = config.rmsprop_alpha,
                           .eps = config.rmsprop_eps,
                           .momentum = config.rmsprop_momentum,
                           .weight_decay = weight_decay,
                           .gradient_scale = gradient_scale},
                          update.masters, update.gradients, squares, means, momentum, copy);
    }
    case OptimizerKind::kSgd:
      break;
  }
  ops::sgd(context,
           {.lr = lr,
            .momentum = config.sgd_momentum,
            .weight_decay = weight_decay,
            .step = step,
            .gradient_scale = gradient_scale},
           update.masters, update.gradients, optional_state(config.sgd_momentum != 0), copy);
}

}  // namespace

std::vector<std::string> optimizer_state_names(const OptimizerConfig& config) {
  std::vector<std::string> names;
  switch (config.optimizer) {
    case OptimizerKind::kAdamW:
    case OptimizerKind::kAdam:
      names = {"exp_avg", "exp_avg_sq"};
      break;
    case OptimizerKind::kAdagrad:
      names = {"sum"};
      break;
    case OptimizerKind::kRmsProp:
      names = {"square_avg"};
      if (config.rmsprop_centered) names.push_back("grad_avg");
      if (config.rmsprop_momentum != 0) names.push_back("momentum_buffer");
      break;
    case OptimizerKind::kSgd:
      if (config.sgd_momentum != 0) names.push_back("momentum_buffer");
      break;
  }
  if (config.ema_decay != 0) names.push_back("ema");
  return names;
}

Optimizer::Optimizer(Context& context, const OptimizerConfig& config, const ParameterStore& store)
    : config_(config) {
  for (const std::string& name : optimizer_state_names(config))
    state_.push_back(
        {name, context.zeros({store.num_owned()}, store.masters().dtype(), MemoryCategory::kOptimizer)});
}

void Optimizer::step(Context& context, ParameterStore& store, double lr, int64_t step,
                     double gradient_scale) {
  update_owned(store, [&](Update& update) {
    std::vector<Tensor> states;
    for (const OptimizerState& state : state_) states.push_back(update.part(state.flat));
    apply(context, config_, {lr, step, gradient_scale, update.weight_decay ? config_.weight_decay : 0.0},
          update, states);
    if (config_.ema_decay == 0) return;
    if (step == 1)
      ops::cast(context, update.masters, states.back());
    else
      ops::moving_average(context, config_.ema_decay, update.masters, states.back());
  });
}

Tensor* Optimizer::average() {
  return config_.ema_decay == 0 ? nullptr : &state_.back().flat;
}

void exchange_average(Context& context, ParameterStore& store, Tensor& average) {
  update_owned(store, [&](Update& update) {
    Tensor part = update.part(average);
    auto* weights = update.masters.raw();
    std::swap_ranges(weights, weights + update.masters.num_bytes(), part.raw());
    if (update.values.defined()) ops::cast(context, update.masters, update.values);
  });
}

std::unique_ptr<Optimizer> make_optimizer(Context& context, const OptimizerConfig& config,
                                          const ParameterStore& store) {
  return std::make_unique<Optimizer>(context, config, store);
}

}  // namespace trireme
