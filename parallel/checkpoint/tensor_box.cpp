#include "parallel/checkpoint/tensor_box.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace trireme::checkpoint {

std::optional<Box> intersection(const Box& a, const Box& b) {
  Box shared = a;
  for (size_t dim = 0; dim < a.offset.size(); ++dim) {
    const int64_t begin = std::max(a.offset[dim], b.offset[dim]);
    const int64_t end = std::min(a.offset[dim] + a.extent[dim], b.offset[dim] + b.extent[dim]);
    if (end <= begin) return std::nullopt;
    shared.offset[dim] = begin;
    shared.extent[dim] = end - begin;
  }
  return shared;
}

std::vector<Box> difference(const Box& a, const Box& b) {
  const std::optional<Box> shared = intersection(a, b);
  if (!shared) return {a};
  std::vector<Box> parts;
  Box rest = a;
  for (size_t dim = 0; dim < a.offset.size(); ++dim) {
    const int64_t begin = rest.offset[dim], end = begin + rest.extent[dim];
    const int64_t shared_begin = shared->offset[dim], shared_end = shared_begin + shared->extent[dim];
    for (const auto& [from, to] : {std::pair(begin, shared_begin), std::pair(shared_end, end)}) {
      if (from == to) continue;
      parts.push_back(rest);
      parts.back().offset[dim] = from;
      parts.back().extent[dim] = to - from;
    }
    rest.offset[dim] = shared_begin;
    rest.extent[dim] = shared_end - shared_begin;
  }
  return parts;
}

std::vector<Box> cut(const Box& box, int64_t max_elements) {
  size_t dim = 0;
  int64_t row = box.num_elements();  // elements that share the coordinates up to `dim`
  while (dim < box.extent.size() && row > std::max<int64_t>(max_elements, 1)) row /= box.extent[dim++];
  if (dim == 0) return {box};
  // Parts are ranges of dimension dim - 1, at every place of the dimensions before it.
  const size_t last = dim - 1;
  const int64_t step = std::max<int64_t>(max_elements / row, 1);
  std::vector<Box> parts;
  Box part = box;
  for (size_t before = 0; before < last; ++before) part.extent[before] = 1;
  for (;;) {
    for (int64_t begin = 0; begin < box.extent[last]; begin += step) {
      part.offset[last] = box.offset[last] + begin;
      part.extent[last] = std::min(step, box.extent[last] - begin);
      parts.push_back(part);
    }
    size_t next = last;
    while (next > 0 && ++part.offset[next - 1] == box.offset[next - 1] + box.extent[next - 1]) {
      part.offset[next - 1] = box.offset[next - 1];
      --next;
    }
    if (next == 0) return parts;
  }
}

std::string to_string(const Box& box) {
  return fmt::format("{}+{}", fmt::join(box.offset, ","), fmt::join(box.extent, ","));
}

std::string coverage_error(const Shape& shape, std::vector<Box> boxes) {
  int64_t covered = 0;
  for (const Box& box : boxes) {
    if (box.offset.size() != shape.size() || box.extent.size() != shape.size())
      return fmt::format("box {} has not {} dimensions", to_string(box), shape.size());
    for (size_t dim = 0; dim < shape.size(); ++dim)
      if (box.offset[dim] < 0 || box.extent[dim] < 1 || box.extent[dim] > shape[dim] ||
          box.offset[dim] > shape[dim] - box.extent[dim])
        return fmt::format("box {} is not inside {}", to_string(box), trireme::to_string(shape));
    covered += box.num_elements();
  }
  // Sorted by the first dimension, a box can only meet those that begin before it ends.
  std::sort(boxes.begin(), boxes.end(), [](const Box& a, const Box& b) { return a.offset < b.offset; });
  for (size_t i = 0; i < boxes.size(); ++i)
    for (size_t j = i + 1; j < boxes.size() && boxes[j].offset[0] < boxes[i].offset[0] + boxes[i].extent[0];
         ++j)
      if (intersection(boxes[i], boxes[j]))
        return fmt::format("boxes {} and {} overlap", to_string(boxes[i]), to_string(boxes[j]));
  if (covered != trireme::num_elements(shape))
    return fmt::format("boxes cover {} of {} elements", covered, trireme::num_elements(shape));
  return "";
}

}  // namespace trireme::checkpoint
