#include "core/ops/cpu/column_partials.h"

namespace trireme::ops::cpu {
namespace {

constexpr int64_t kMaxParts = 32;       // threads beyond this many find no part
constexpr int64_t kMinRowsPerPart = 8;  // below, adding up the parts costs more than it saves

}  // namespace

ColumnPartials::ColumnPartials(Context& context, int64_t rows, int64_t cols, int64_t num_sums)
    : context_(context),
      rows_(rows),
      cols_(cols),
      num_parts_(std::clamp<int64_t>(rows / kMinRowsPerPart, 1, kMaxParts)),
      stride_(num_sums * cols),
      sums_(context.workspace({num_parts_, stride_}, DType::kFloat32)) {}

void ColumnPartials::add_up(int64_t index, Tensor& out, bool accumulate) const {
  const float* first = sums_.data<float>() + index * cols_;
  float* result = out.data<float>();
  for (int64_t j = 0; j < cols_; ++j) {
    float total = accumulate ? result[j] : 0.0f;
    for (int64_t part = 0; part < num_parts_; ++part) total += first[part * stride_ + j];
    result[j] = total;
  }
}

}  // namespace trireme::ops::cpu
