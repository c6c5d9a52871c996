// Times every operation case marked `benchmark`, the same cases that the tests check at small sizes:
//   bench_ops --benchmark_filter=adam --benchmark_out=ops.json
// Threads: OMP_NUM_THREADS. The first row is the memory limit to read GB/s against.

#include <benchmark/benchmark.h>
#include <omp.h>

#include "tests/support/op_case.h"

namespace trireme {
namespace {

void run_case(benchmark::State& state, const testing::OpCase& op_case, DType dtype) {
  Context context;
  context.num_threads = omp_get_max_threads();
  const testing::OpRun run = op_case.build(context, dtype, dtype, 1);
  run.run(context);
  for (auto _ : state) run.run(context);
  const auto per_second = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["GF/s"] = benchmark::Counter(run.flops * 1e-9, per_second);
  state.counters["GB/s"] = benchmark::Counter(run.bytes * 1e-9, per_second);
}

/// STREAM's triad over 64 MiB each: a = b + s c.
void triad(benchmark::State& state) {
  constexpr int64_t kLength = int64_t{1} << 24;
  std::vector<float> a(kLength), b(kLength, 1.0f), c(kLength, 2.0f);
  float* to = a.data();
  const float *from = b.data(), *other = c.data();
  for (auto _ : state) {
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < kLength; ++i) to[i] = from[i] + 3.0f * other[i];
    benchmark::ClobberMemory();
  }
  state.counters["GB/s"] = benchmark::Counter(12e-9 * kLength, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  using trireme::testing::OpCase;
  benchmark::Initialize(&argc, argv);
  benchmark::RegisterBenchmark("memory/triad", trireme::triad)->UseRealTime();
  for (const OpCase& op_case : trireme::testing::op_cases())
    if (op_case.benchmark)
      for (const trireme::DType dtype : op_case.dtypes)
        benchmark::RegisterBenchmark(
            (op_case.op + "/" + op_case.description + "/" + trireme::name_of(dtype)).c_str(),
            [&op_case, dtype](benchmark::State& state) { trireme::run_case(state, op_case, dtype); })
            ->UseRealTime()
            ->MinTime(0.3);
  benchmark::RunSpecifiedBenchmarks();
}
