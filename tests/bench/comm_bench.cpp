#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "parallel/comm/mpi_runtime.h"

/// bench_comm [pairs]: all_reduce of float32 in shared memory, and by messages, against MPI_Allreduce in
/// place; run it under mpirun. The sides alternate; the time of one is the slowest rank's; medians are
/// compared.
namespace trireme {
namespace {

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

double seconds_of(const std::function<void()>& body) {
  MPI_Barrier(MPI_COMM_WORLD);
  const auto start = std::chrono::steady_clock::now();
  body();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return seconds;
}

nlohmann::json measure(comm::MpiRuntime& runtime, int64_t bytes, int pairs) {
  Context context;
  const auto shared = runtime.world();
  const auto messages = runtime.world({.shared_memory = false});
  const int64_t count = bytes / 4;
  Tensor window = Tensor::view_of(shared->allocate(context, bytes, MemoryCategory::kGradients), 0, {count},
                                  DType::kFloat32);
  Tensor plain = context.zeros({count}, DType::kFloat32, MemoryCategory::kGradients);
  const std::function<void()> sides[] = {[&] {
                                           MPI_Allreduce(MPI_IN_PLACE, plain.raw(), static_cast<int>(count),
                                                         MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
                                         },
                                         [&] { shared->all_reduce(window, ReduceOp::kSum); },
                                         [&] { messages->all_reduce(plain, ReduceOp::kSum); }};
  std::vector<double> seconds[3];
  for (int pair = -1; pair < pairs; ++pair) {  // the first round warms up
    for (size_t side = 0; side < 3; ++side) {
      const double time = seconds_of(sides[side]);
      if (pair >= 0) seconds[side].push_back(time);
    }
  }
  const double mpi = median(seconds[0]), in_window = median(seconds[1]), by_messages = median(seconds[2]);
  const auto rate = [&](double time) { return static_cast<double>(bytes) / time / 1e9; };
  return {{"bytes", bytes},
          {"ranks", runtime.size()},
          {"pairs", pairs},
          {"mpi_allreduce_gb_per_s", rate(mpi)},
          {"shared_gb_per_s", rate(in_window)},
          {"messages_gb_per_s", rate(by_messages)},
          {"shared_over_mpi", mpi / in_window},
          {"messages_over_mpi", mpi / by_messages}};
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  using namespace trireme;
  comm::MpiRuntime runtime;
  const int pairs = argc > 1 ? std::stoi(argv[1]) : 10;
  nlohmann::json result;
  result["library"] = comm::MpiRuntime::library_version().substr(0, 16);
  for (const int64_t mebibytes : {1, 25, 64, 128, 256})
    result["all_reduce"].push_back(measure(runtime, mebibytes << 20, pairs));
  if (runtime.rank() == 0) fmt::print("{}\n", result.dump(2));
  return 0;
}
