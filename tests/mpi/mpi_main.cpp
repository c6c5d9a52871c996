#include "tests/mpi/mpi_main.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <optional>

namespace trireme::testing {
namespace {

std::optional<comm::MpiRuntime>& runtime() {
  static std::optional<comm::MpiRuntime> instance;
  return instance;
}

/// Rank 0 prints as always; the others print their failures only.
class FailuresOnly final : public ::testing::EmptyTestEventListener {
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (result.failed())
      std::fprintf(stderr, "rank %d: %s:%d: %s\n", mpi().rank(),
                   result.file_name() ? result.file_name() : "?", result.line_number(), result.message());
  }
};

}  // namespace

comm::MpiRuntime& mpi() {
  return *runtime();
}

}  // namespace trireme::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  auto& runtime = trireme::testing::runtime();
  runtime.emplace();
  if (runtime->rank() != 0) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new trireme::testing::FailuresOnly);
  }
  const int result = RUN_ALL_TESTS();
  runtime.reset();
  return result;
}
