#include "core/optim/optimizer.h"

#include "core/ops/optimizer.h"

namespace trireme {
namespace {

OptimizerState make_state(Context& context, const std::string& name, const ParameterStore& store) {
  return {name, context.zeros({store.num_elements()}, store.masters().dtype(), MemoryCategory::kOptimizer)};
}

/// The part of a flat tensor that one range covers.
Tensor part(const Tensor& flat, const ParameterStore::Range& range) {
  return flat.slice(0, range.begin, range.end - range.begin);
}

/// Walks the decay ranges; `update` gets masters, gradients and the low-precision values (null where they are
/// the masters) of each.
template <class Update>
void for_each_range(ParameterStore& store, Update&& update) {
  for (const ParameterStore::Range& range : store.decay_ranges()) {
    Tensor masters = part(store.masters(), range);
    Tensor values = part(store.values(), range);
    update(range, masters, part(store.gradients(), range), store.has_masters() ? &values : nullptr);
  }
  for (Parameter* parameter : store.parameters()) ++parameter->version;
}

class AdamW final : public Optimizer {
 public:
  AdamW(Context& context, const OptimizerConfig& config, const ParameterStore& store)
      : config_(config),
        state_{make_state(context, "exp_avg", store), make_state(context, "exp_avg_sq", store)} {}

  void step(Context& context, ParameterStore& store, double lr, int64_t step,
            double gradient_scale) override {
    for_each_range(store, [&](const ParameterStore::Range& range, Tensor& masters, const Tensor& gradients,
                              Tensor* values) {
      Tensor first = part(state_[0].flat, range), second = part(state_[1].flat, range);
      ops::adamw(context,
                 {.lr = lr,
                  .beta1 = config_.adam_beta1,
                  .beta2 = config_.adam_beta2,
                  .eps = config_.adam_eps,
                  .weight_decay = range.weight_decay ? config_.weight_decay : 0.0,
                  .step = step,
                  .gradient_scale = gradient_scale},
                 masters, gradients, first, second, values);
    });
  }
  std::vector<OptimizerState>& state() override { return state_; }

 private:
  OptimizerConfig config_;
  std::vector<OptimizerState> state_;
};

class Sgd final : public Optimizer {
 public:
  Sgd(Context& context, const OptimizerConfig& config, const ParameterStore& store) : config_(config) {
    if (config.sgd_momentum != 0) state_.push_back(make_state(context, "momentum_buffer", store));
  }

  void step(Context& context, ParameterStore& store, double lr, int64_t step,
            double gradient_scale) override {
    for_each_range(store, [&](const ParameterStore::Range& range, Tensor& masters, const Tensor& gradients,
                              Tensor* values) {
      Tensor momentum = state_.empty() ? Tensor() : part(state_[0].flat, range);
      ops::sgd(context,
               {.lr = lr,
                .momentum = config_.sgd_momentum,
                .weight_decay = range.weight_decay ? config_.weight_decay : 0.0,
                .step = step,
                .gradient_scale = gradient_scale},
               masters, gradients, state_.empty() ? nullptr : &momentum, values);
    });
  }
  std::vector<OptimizerState>& state() override { return state_; }

 private:
  OptimizerConfig config_;
  std::vector<OptimizerState> state_;
};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(Context& context, const OptimizerConfig& config,
                                          const ParameterStore& store) {
  if (config.optimizer == OptimizerKind::kSgd) return std::make_unique<Sgd>(context, config, store);
  return std::make_unique<AdamW>(context, config, store);
}

}  // namespace trireme
