#pragma once

#include <functional>
#include <vector>

#include "core/base/trace.h"
#include "core/tensor/device.h"
#include "core/tensor/tensor.h"

namespace trireme {

struct Context;
class KernelCache;  // defined by the kernels of the device (core/ops)

/// Work that backward leaves for later: the gradients of weights. Holds the tensors it needs. Drained at once
/// by default; a pipeline schedule that splits backward moves it out of the context and drains it when its
/// turn comes.
class DeferredWork {
 public:
  using Task = std::function<void(Context&)>;
  void push(Context& context, Task task);
  void drain(Context& context);
  bool delayed = false;  ///< false: push runs the task immediately

 private:
  std::vector<Task> tasks_;
};

/// One per rank, first argument of every operation; no operation reads a global. Not thread-safe: it belongs
/// to its rank's thread.
struct Context {
  Device device;
  int num_threads = 1;             ///< OpenMP threads of this rank
  bool grad_enabled = true;        ///< record a graph
  bool keep_recipes = false;       ///< cheap values that only backward needs again are made again, not kept
  bool training = true;            ///< dropout acts
  bool reference_kernels = false;  ///< use the plain loops whatever the dtype (fp64 always does)
  Allocator allocator;
  Trace trace;
  std::shared_ptr<KernelCache> kernels;  ///< what kernels keep between calls; made on first use
  DeferredWork weight_gradients;
  std::function<void()> progress;  ///< called between graph nodes: moves communication along
  uint64_t graph_sequence = 0;     ///< numbers the nodes of the graph in the order of their making

  /// Uninitialised tensors. Activations have padded rows, the others are contiguous.
  Tensor activation(Shape shape, DType dtype);
  Tensor workspace(Shape shape, DType dtype);
  Tensor zeros(Shape shape, DType dtype, MemoryCategory category);
};

/// Sets grad mode for a scope.
class GradModeGuard {
 public:
  GradModeGuard(Context& context, bool enabled) : context_(context), previous_(context.grad_enabled) {
    context_.grad_enabled = enabled;
  }
  ~GradModeGuard() { context_.grad_enabled = previous_; }
  GradModeGuard(const GradModeGuard&) = delete;
  GradModeGuard& operator=(const GradModeGuard&) = delete;

 private:
  Context& context_;
  bool previous_;
};

}  // namespace trireme
