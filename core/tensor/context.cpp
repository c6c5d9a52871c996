#include "core/tensor/context.h"

#include <cstring>

namespace trireme {

void DeferredWork::push(Context& context, Task task) {
  if (delayed) {
    tasks_.push_back(std::move(task));
  } else {
    task(context);
  }
}

void DeferredWork::drain(Context& context) {
  std::vector<Task> tasks;
  tasks.swap(tasks_);
  for (Task& task : tasks) {
    task(context);
    task = nullptr;  // frees what it holds
    if (context.progress) context.progress();
  }
}

Tensor Context::activation(Shape shape, DType dtype) {
  return Tensor::allocate_padded(allocator, std::move(shape), dtype, MemoryCategory::kActivations);
}

Tensor Context::workspace(Shape shape, DType dtype) {
  return Tensor::allocate(allocator, std::move(shape), dtype, MemoryCategory::kWorkspace);
}

Tensor Context::zeros(Shape shape, DType dtype, MemoryCategory category) {
  Tensor tensor = Tensor::allocate(allocator, std::move(shape), dtype, category);
  std::memset(tensor.raw(), 0, static_cast<size_t>(tensor.num_bytes()));
  return tensor;
}

}  // namespace trireme
