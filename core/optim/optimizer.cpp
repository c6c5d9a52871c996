#include "core/optim/optimizer.h"

#include "core/ops/optimizer.h"

namespace trireme {
namespace {

OptimizerState make_state(Context& context, const std::string& name, const ParameterStore& store) {
  return {name, context.zeros({store.num_owned()}, store.masters().dtype(), MemoryCategory::kOptimizer)};
}

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

class AdamW final : public Optimizer {
 public:
  AdamW(Context& context, const OptimizerConfig& config, const ParameterStore& store)
      : config_(config),
        state_{make_state(context, "exp_avg", store), make_state(context, "exp_avg_sq", store)} {}

  void step(Context& context, ParameterStore& store, double lr, int64_t step,
            double gradient_scale) override {
    update_owned(store, [&](Update& update) {
      Tensor first = update.part(state_[0].flat), second = update.part(state_[1].flat);
      ops::adamw(context,
                 {.lr = lr,
                  .beta1 = config_.adam_beta1,
                  .beta2 = config_.adam_beta2,
                  .eps = config_.adam_eps,
                  .weight_decay = update.weight_decay ? config_.weight_decay : 0.0,
                  .step = step,
                  .gradient_scale = gradient_scale},
                 update.masters, update.gradients, first, second,
                 update.values.defined() ? &update.values : nullptr);
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
    update_owned(store, [&](Update& update) {
      Tensor momentum = state_.empty() ? Tensor() : update.part(state_[0].flat);
      ops::sgd(context,
               {.lr = lr,
                .momentum = config_.sgd_momentum,
                .weight_decay = update.weight_decay ? config_.weight_decay : 0.0,
                .step = step,
                .gradient_scale = gradient_scale},
               update.masters, update.gradients, state_.empty() ? nullptr : &momentum,
               update.values.defined() ? &update.values : nullptr);
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
