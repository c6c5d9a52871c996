#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/autograd/buffer.h"
#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"

namespace trireme::nn {

/// A named part of a model that owns its parameters. Names are given in full at construction
/// ("h.3.mlp.fc.weight").
class Module {
 public:
  virtual ~Module() = default;
  /// Every parameter once, in the order of the forward pass. A shared (tied) one is listed by its owner only.
  virtual void collect(std::vector<Parameter*>& parameters) = 0;
  /// Those that it uses and another module owns (a tied head).
  virtual void collect_shared(std::vector<Parameter*>&) {}
  /// Its state that is not trained, in the order of the forward pass.
  virtual void collect_buffers(std::vector<Buffer*>&) {}
};

}  // namespace trireme::nn
