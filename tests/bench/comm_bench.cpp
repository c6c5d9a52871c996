#include <fmt/format.h>
#include <mpi.h>
#include <omp.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/ops/cpu/cpu_info.h"
#include "parallel/comm/mpi_runtime.h"

/// bench_comm [pairs [WORD]]: what Communicator does in shared memory and by messages against the MPI call
/// for it, on float32 in place; run it under mpirun. The two sides of a pair take turns, the time of one is
/// the slowest rank's, and the ratio is the median time of MPI over the median time of ours. WORD: only
/// operations with it in their name.
namespace trireme {
namespace {

struct Comparison {
  std::string operation, transport, peer;
  double target;  ///< the least ratio that is good enough
  int64_t bytes;
  int repeats;  ///< of the operation in one measurement
  std::function<void()> ours, theirs;
};

/// The tensors of one size, in shared memory and not, and the groups that go with them.
struct Buffers {
  Buffers(comm::MpiRuntime& runtime, int64_t bytes)
      : bytes(bytes),
        shared(runtime.world()),
        messages(runtime.world({.shared_memory = false})),
        window(Tensor::view_of(shared->allocate(context, bytes, MemoryCategory::kGradients), 0, {bytes / 4},
                               DType::kFloat32)),
        plain(context.zeros({bytes / 4}, DType::kFloat32, MemoryCategory::kGradients)) {}
  Context context;
  int64_t bytes;
  std::unique_ptr<Communicator> shared, messages;
  Tensor window, plain;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

double seconds_of(const std::function<void()>& body, int repeats) {
  MPI_Barrier(MPI_COMM_WORLD);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) body();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return seconds;
}

nlohmann::json measure(const Comparison& comparison, int pairs) {
  std::vector<double> ours, theirs;
  for (int pair = -1; pair < pairs; ++pair) {  // the first one warms up
    const double their_time = seconds_of(comparison.theirs, comparison.repeats);
    const double our_time = seconds_of(comparison.ours, comparison.repeats);
    if (pair < 0) continue;
    theirs.push_back(their_time);
    ours.push_back(our_time);
  }
  const auto rate = [&](double seconds) { return static_cast<double>(comparison.bytes) / seconds / 1e9; };
  const double ratio = median(theirs) / median(ours);
  return {{"operation", comparison.operation},
          {"transport", comparison.transport},
          {"bytes", comparison.bytes},
          {"gb_per_s", rate(median(ours))},
          {"peer", comparison.peer},
          {"peer_gb_per_s", rate(median(theirs))},
          {"ratio", ratio},
          {"target", comparison.target},
          {"met", ratio >= comparison.target}};
}

std::vector<Comparison> collectives(Buffers& buffers) {
  const int count = static_cast<int>(buffers.plain.num_elements());
  const int each = count / buffers.shared->size();
  float* data = buffers.plain.data<float>();
  const auto mpi_all_reduce = [=] {
    MPI_Allreduce(MPI_IN_PLACE, data, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  };
  const auto mpi_reduce_scatter = [=] {
    MPI_Reduce_scatter_block(MPI_IN_PLACE, data, each, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  };
  const auto mpi_all_gather = [=] {
    MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, each, MPI_FLOAT, MPI_COMM_WORLD);
  };
  std::vector<Comparison> result;
  for (const bool in_window : {true, false}) {
    Communicator* group = in_window ? buffers.shared.get() : buffers.messages.get();
    const Tensor tensor = in_window ? buffers.window : buffers.plain;
    const std::string transport = in_window ? "shared memory" : "messages";
    result.push_back({"all_reduce", transport, "MPI_Allreduce", in_window ? 3.0 : 1.6, buffers.bytes, 1,
                      [=] { group->all_reduce(tensor, ReduceOp::kSum); }, mpi_all_reduce});
    result.push_back({"reduce_scatter_slices", transport, "MPI_Reduce_scatter_block", 3.0, buffers.bytes, 1,
                      [=] { group->reduce_scatter_slices(tensor, ReduceOp::kSum); }, mpi_reduce_scatter});
    result.push_back({"all_gather_slices", transport, "MPI_Allgather", in_window ? 1.0 : 0.9, buffers.bytes,
                      1, [=] { group->all_gather_slices(tensor); }, mpi_all_gather});
  }
  return result;
}

/// There and back between the first rank and the last.
Comparison ping_pong(Buffers& buffers) {
  Communicator* group = buffers.messages.get();
  const Tensor tensor = buffers.plain;
  const int rank = group->rank(), last = group->size() - 1;
  const auto ours = [=] {
    if (rank == 0) group->send(tensor, last, 0);
    if (rank == last) group->receive(tensor, 0, 0);
    if (rank == last) group->send(tensor, 0, 0);
    if (rank == 0) group->receive(tensor, last, 0);
  };
  const auto theirs = [=] {
    const int count = static_cast<int>(tensor.num_bytes());
    const auto send = [&](int peer) { MPI_Send(tensor.raw(), count, MPI_BYTE, peer, 0, MPI_COMM_WORLD); };
    const auto receive = [&](int peer) {
      MPI_Recv(tensor.raw(), count, MPI_BYTE, peer, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    };
    if (rank == 0) send(last);
    if (rank == last) receive(0);
    if (rank == last) send(0);
    if (rank == 0) receive(last);
  };
  const int repeats = static_cast<int>(std::clamp<int64_t>((int64_t{32} << 20) / buffers.bytes, 1, 2000));
  return {"send and receive, both ways",
          "messages",
          "MPI_Send, MPI_Recv",
          0.9,
          2 * buffers.bytes,
          repeats,
          ours,
          theirs};
}

nlohmann::json conditions(const comm::MpiRuntime& runtime) {
  double load[1] = {-1};
  if (getloadavg(load, 1) != 1) load[0] = -1;
  return {{"library", comm::MpiRuntime::library_version().substr(0, 16)},
          {"processor", ops::cpu::cpu_model()},
          {"ranks", runtime.size()},
          {"load_average_1_minute", load[0]}};
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  using namespace trireme;
  comm::MpiRuntime runtime;
  omp_set_num_threads(std::max(1, omp_get_num_procs() / runtime.size()));  // as a run on one host does
  const int pairs = argc > 1 ? std::stoi(argv[1]) : 10;
  const std::string word = argc > 2 ? argv[2] : "";
  nlohmann::json result = {{"pairs", pairs}, {"before", conditions(runtime)}};
  const auto compare = [&](const Comparison& comparison) {
    if (comparison.operation.find(word) != std::string::npos)
      result["comparisons"].push_back(measure(comparison, pairs));
  };
  for (const int64_t mebibytes : {64, 128, 256}) {
    Buffers buffers(runtime, mebibytes << 20);
    for (const Comparison& comparison : collectives(buffers)) compare(comparison);
  }
  for (const int64_t kibibytes : {4, 1 << 10, 64 << 10}) {
    Buffers buffers(runtime, kibibytes << 10);
    compare(ping_pong(buffers));
  }
  result["after"] = conditions(runtime);
  if (runtime.rank() == 0) fmt::print("{}\n", result.dump(2));
  return 0;
}
