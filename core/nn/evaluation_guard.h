#pragma once

#include "core/tensor/context.h"

namespace trireme {

/// No graph and no dropout for a scope: evaluation and generation.
class EvaluationGuard {
 public:
  explicit EvaluationGuard(Context& context)
      : no_grad_(context, false), context_(context), previous_(context.training) {
    context.training = false;
  }
  ~EvaluationGuard() { context_.training = previous_; }
  EvaluationGuard(const EvaluationGuard&) = delete;
  EvaluationGuard& operator=(const EvaluationGuard&) = delete;

 private:
  GradModeGuard no_grad_;
  Context& context_;
  bool previous_;
};

}  // namespace trireme
