#pragma once

#include <omp.h>

namespace trireme::ops::cpu {

/// oneDNN takes as many OpenMP threads as the calling thread's setting says: sets it for a scope.
class ThreadCount {
 public:
  explicit ThreadCount(int num_threads) : previous_(omp_get_max_threads()) {
    if (num_threads != previous_) omp_set_num_threads(num_threads);
  }
  ~ThreadCount() {
    if (omp_get_max_threads() != previous_) omp_set_num_threads(previous_);
  }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int previous_;
};

}  // namespace trireme::ops::cpu
