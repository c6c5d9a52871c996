#include "parallel/checkpoint/step_difference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/tensor_reader.h"

namespace trireme {

using namespace checkpoint;

namespace {

constexpr int64_t kPieceElements = int64_t{4} << 20;

struct Step {
  std::string directory;
  Manifest manifest;
};

/// A part of a tensor as float64.
Tensor read_part(Context& context, const Step& step, const SavedTensor& tensor, const Box& box) {
  if (!is_floating(tensor.dtype))
    throw CheckpointError(fmt::format("'{}': {} {} is {}; only floating types are compared", step.directory,
                                      tensor.role, tensor.name, name_of(tensor.dtype)));
  const Tensor part = context.workspace(box.extent, tensor.dtype);
  const LogicalTensor logical{tensor.role, tensor.name, tensor.dtype, tensor.shape, tensor.parameter_group};
  read_tensors(step.directory, step.manifest, {{{logical, box}, part}});
  Tensor numbers = context.workspace(box.extent, DType::kFloat64);
  ops::cast(context, part, numbers);
  return numbers;
}

void add_values(TensorDifference& difference, const Tensor& first, const Tensor& second) {
  const double* a = first.data<double>();
  const double* b = second.data<double>();
  for (int64_t i = 0; i < first.num_elements(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) {
      ++difference.num_equal;
    } else {
      const double distance = std::abs(a[i] - b[i]);
      difference.max_absolute = std::max(
          difference.max_absolute, std::isnan(distance) ? std::numeric_limits<double>::infinity() : distance);
    }
    for (const double value : {a[i], b[i]})
      if (std::isfinite(value))
        difference.max_magnitude = std::max(difference.max_magnitude, std::abs(value));
  }
  difference.num_elements += first.num_elements();
}

TensorDifference compare(Context& context, const Step& first, const SavedTensor& a, const Step& second,
                         const SavedTensor& b) {
  TensorDifference difference{.role = a.role, .name = a.name, .mismatch = "", .dtypes = ""};
  if (a.shape != b.shape) {
    difference.mismatch =
        fmt::format("shape {} and {}", trireme::to_string(a.shape), trireme::to_string(b.shape));
    return difference;
  }
  if (a.dtype != b.dtype) difference.dtypes = fmt::format("{} and {}", name_of(a.dtype), name_of(b.dtype));
  for (const SavedBox& saved : a.boxes)
    for (const Box& box : cut(saved.box, kPieceElements))
      add_values(difference, read_part(context, first, a, box), read_part(context, second, b, box));
  return difference;
}

}  // namespace

std::vector<TensorDifference> compare_steps(const std::string& first, const std::string& second) {
  const Step a{first, load_manifest(first)}, b{second, load_manifest(second)};
  std::map<std::pair<Role, std::string>, const SavedTensor*> rest;
  for (const SavedTensor& tensor : b.manifest.tensors) rest[{tensor.role, tensor.name}] = &tensor;
  Context context;
  std::vector<TensorDifference> differences;
  for (const SavedTensor& tensor : a.manifest.tensors) {
    const auto found = rest.find({tensor.role, tensor.name});
    if (found == rest.end()) {
      differences.push_back(
          {.role = tensor.role, .name = tensor.name, .mismatch = "missing in the second", .dtypes = ""});
      continue;
    }
    differences.push_back(compare(context, a, tensor, b, *found->second));
    rest.erase(found);
  }
  for (const SavedTensor& tensor : b.manifest.tensors)
    if (rest.contains({tensor.role, tensor.name}))
      differences.push_back(
          {.role = tensor.role, .name = tensor.name, .mismatch = "missing in the first", .dtypes = ""});
  return differences;
}

}  // namespace trireme
