#include "core/ops/gemm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "core/base/error.h"
#include "core/ops/cpu/cpu_info.h"
#include "core/ops/cpu/gemm.h"
#include "tests/support/op_case.h"
#include "tests/support/run_program.h"
#include "tests/support/tolerances.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::expect_near;
using ::testing::HasSubstr;
using testing::message_of;
using testing::random_tensor;
using testing::tensor_of;

bool same_bits(const Tensor& a, const Tensor& b) {
  const auto row_bytes = static_cast<size_t>(a.cols() * size_of(a.dtype()));
  for (int64_t row = 0; row < a.rows(); ++row)
    if (std::memcmp(a.raw() + row * a.row_stride() * size_of(a.dtype()),
                    b.raw() + row * b.row_stride() * size_of(b.dtype()), row_bytes) != 0)
      return false;
  return true;
}

class GemmInEveryType : public ::testing::TestWithParam<DType> {
 protected:
  Context context;
};

TEST_P(GemmInEveryType, GivesTheProductWrittenDownByHand) {
  const Tensor a = tensor_of(context, {2, 3}, {1, 2, 3, -1, 0.5, 4}, GetParam());
  const Tensor b = tensor_of(context, {3, 2}, {2, -1, 0, 3, 1, 5}, GetParam());
  const Tensor b_transposed = tensor_of(context, {2, 3}, {2, 0, 1, -1, 3, 5}, GetParam());
  const Tensor bias = tensor_of(context, {2}, {10, -20}, GetParam());
  Tensor c = tensor_of(context, {2, 2}, {100, 100, 100, 100}, GetParam());
  ops::gemm(context, a, b, c);
  expect_near(c, {5, 20, 2, 22.5}, 0);
  ops::gemm(context, a, b_transposed, c, {.transpose_b = true, .bias = &bias});
  expect_near(c, {15, 0, 12, 2.5}, 0);
  ops::gemm(context, a, b, c, {.accumulate = true});
  expect_near(c, {20, 20, 14, 25}, 0);
  Tensor square = context.workspace({3, 3}, GetParam());
  ops::gemm(context, a, a, square, {.transpose_a = true});
  expect_near(square, {2, 1.5, -1, 1.5, 4.25, 8, -1, 8, 25}, 0);
}

INSTANTIATE_TEST_SUITE_P(Types, GemmInEveryType,
                         ::testing::Values(DType::kFloat64, DType::kFloat32, DType::kBFloat16,
                                           DType::kFloat16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

/// Replicas, recomputation and other micro-batch splits lean on this.
class GemmBits : public ::testing::TestWithParam<std::tuple<DType, ops::GemmOptions>> {};

TEST_P(GemmBits, OfARowDependNeitherOnTheThreadsNorOnTheOtherRows) {
  const auto [dtype, options] = GetParam();
  constexpr int64_t kM = 256, kN = 768, kK = 384;
  Context context;
  const Tensor a = random_tensor(context, {kM, kK}, dtype, dtype, 1, true);
  const Tensor b = options.transpose_b ? random_tensor(context, {kN, kK}, dtype, dtype, 2, true)
                                       : random_tensor(context, {kK, kN}, dtype, dtype, 2, true);
  Tensor one = context.activation({kM, kN}, dtype), two = context.activation({kM, kN}, dtype);
  Tensor split = context.activation({kM, kN}, dtype);
  context.num_threads = 1;
  ops::gemm(context, a, b, one, options);
  context.num_threads = 2;
  ops::gemm(context, a, b, two, options);
  EXPECT_TRUE(same_bits(one, two));
  for (int64_t row = 0; row < kM; row += kM / 16) {
    Tensor rows = split.slice(0, row, kM / 16);
    ops::gemm(context, a.slice(0, row, kM / 16), b, rows, options);
  }
  EXPECT_TRUE(same_bits(one, split));
}

INSTANTIATE_TEST_SUITE_P(
    Types, GemmBits,
    ::testing::Combine(::testing::Values(DType::kFloat32, DType::kBFloat16, DType::kFloat16),
                       ::testing::Values(ops::GemmOptions{}, ops::GemmOptions{.transpose_b = true})));

/// More rows, columns and depth than a panel has.
TEST(Gemm, ThroughFloat32PanelsGivesTheReferencesResult) {
  Context context, reference;
  context.num_threads = 2;
  reference.reference_kernels = true;
  for (const auto& [m, n, k] : {std::tuple{1100, 40, 24}, {30, 4101, 24}, {30, 40, 4101}})
    for (const bool transpose : {false, true})
      for (const DType c_type : {DType::kFloat16, DType::kFloat32}) {
        const auto matrix = [&](const Shape& shape, DType dtype, uint64_t seed) {
          return random_tensor(context, shape, dtype, dtype, seed, true);
        };
        const Tensor a = matrix(transpose ? Shape{k, m} : Shape{m, k}, DType::kFloat16, 1);
        const Tensor b = matrix(transpose ? Shape{n, k} : Shape{k, n}, DType::kFloat16, 2);
        const Tensor bias = matrix({n}, DType::kFloat16, 3);
        Tensor panels = matrix({m, n}, c_type, 4), exact = matrix({m, n}, c_type, 4);
        const ops::GemmOptions options{transpose, transpose, true, &bias};
        ops::cpu::gemm_through_float32(context, a, b, panels, options);
        ops::gemm(reference, a, b, exact, options);
        EXPECT_LE(testing::relative_error(panels, exact), testing::tolerance(c_type));
      }
}

/// A vocabulary's matrix in float32 would be 150 MiB at GPT-2's size.
TEST(Gemm, ThroughFloat32PanelsNeedsMemoryForPanelsOnly) {
  Context context;
  const Tensor a = random_tensor(context, {1, 64}, DType::kFloat16, DType::kFloat16, 1);
  const Tensor b = random_tensor(context, {50000, 64}, DType::kFloat16, DType::kFloat16, 2);
  Tensor c = context.activation({1, 50000}, DType::kFloat16);
  const int64_t before = context.allocator.ledger().total;
  context.allocator.reset_peak();
  ops::cpu::gemm_through_float32(context, a, b, c, {.transpose_b = true});
  EXPECT_LE(context.allocator.ledger().peak - before, 4 * 4096 * (64 + 2) * 5 / 4);
}

TEST(Gemm, MatchesTheReferenceWhereOneDnnIsKeptToAvx2) {
  const testing::ProgramResult result =
      testing::run_program({"/proc/self/exe", "--gtest_filter=*OpTable.FastKernelMatchesFloat64/gemm_*"}, ".",
                           {{"DNNL_MAX_CPU_ISA", "AVX2"}});
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("PASSED"));
  EXPECT_THAT(result.out, HasSubstr("bfloat16"));
  EXPECT_THAT(result.out, HasSubstr("_float16"));
}

TEST(Gemm, KeepsNoWorkspaceAfterTheCall) {
  Context context;
  const Tensor a = random_tensor(context, {96, 130}, DType::kBFloat16, DType::kBFloat16, 1, true);
  const Tensor b = random_tensor(context, {70, 130}, DType::kBFloat16, DType::kBFloat16, 2, true);
  Tensor c = context.activation({96, 70}, DType::kBFloat16);
  const int64_t before = context.allocator.ledger().total;
  ops::gemm(context, a, b, c, {.transpose_b = true});
  EXPECT_EQ(context.allocator.ledger().total, before);
}

TEST(Gemm, RefusesWhatDoesNotFit) {
  Context context;
  const Tensor a = context.workspace({4, 3}, DType::kFloat32), b = context.workspace({3, 5}, DType::kFloat32);
  const Tensor b_half = context.workspace({3, 5}, DType::kBFloat16),
               flat = context.workspace({15}, DType::kFloat32);
  const Tensor indices = context.workspace({4, 3}, DType::kInt32);
  Tensor c = context.workspace({4, 5}, DType::kFloat32), wide = context.workspace({4, 5}, DType::kFloat64);
  const auto refusal = [&](const Tensor& left, const Tensor& right, Tensor& result,
                           const ops::GemmOptions& options = {}) {
    return message_of<ShapeError>([&] { ops::gemm(context, left, right, result, options); });
  };
  EXPECT_THAT(refusal(a, b, c, {.transpose_b = true}), HasSubstr("inner dimensions of a and b differ"));
  EXPECT_THAT(refusal(a, b, c, {.transpose_b = true}), HasSubstr("b float32 [3, 5] (transposed)"));
  EXPECT_THAT(refusal(b, a, c), HasSubstr("inner dimensions"));
  EXPECT_THAT(refusal(a, flat, c), HasSubstr("two dimensions"));
  EXPECT_THAT(refusal(a, b_half, c), HasSubstr("one type"));
  EXPECT_THAT(refusal(a, b, wide), HasSubstr("c must have the type of a"));
  EXPECT_THAT(refusal(indices, indices, c), HasSubstr("floating type"));
  EXPECT_THAT(refusal(a, b, c, {.bias = &flat}), HasSubstr("one value per column"));
  Tensor tall = context.workspace({5, 5}, DType::kFloat32),
         broad = context.workspace({4, 6}, DType::kFloat32);
  EXPECT_THAT(refusal(a, b, tall), HasSubstr("numbers of rows"));
  EXPECT_THAT(refusal(a, b, broad), HasSubstr("numbers of columns"));
}

TEST(Gemm, IsCountedInTheTrace) {
  Context context;
  const Tensor a = random_tensor(context, {4, 4}, DType::kFloat32, DType::kFloat32, 1);
  Tensor c = context.workspace({4, 4}, DType::kFloat32);
  ops::gemm(context, a, a, c);
  ops::gemm(context, a, a, c);
  EXPECT_EQ(context.trace.entries().at("op/gemm").calls, 2);
}

}  // namespace
}  // namespace trireme
