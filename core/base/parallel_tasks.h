#pragma once

#include <cstdint>
#include <functional>

namespace trireme {

/// Runs body(task, thread) for task = 0 to num_tasks - 1 on `num_threads` threads of the system, each taking
/// the next task that is left. Rethrows the exception of the lowest failed task, when all have ended. For
/// work on files and text; operations on tensors use OpenMP.
void run_tasks(int64_t num_tasks, int num_threads, const std::function<void(int64_t task, int thread)>& body);

/// The cores this process may use.
int num_usable_cores();

}  // namespace trireme
