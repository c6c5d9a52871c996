#include "parallel/verify/whole_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/base/check.h"
#include "core/optim/owned_boxes.h"
#include "core/tensor/dtype_dispatch.h"

namespace trireme::verify {
namespace {

template <class T>
double as_double(T value) {
  if constexpr (std::is_same_v<T, double>) {
    return value;
  } else {
    return static_cast<double>(static_cast<float>(value));
  }
}

/// The owned ranges of a flat tensor, one after another.
Tensor pack_owned(Context& context, const ParameterStore& store, const Tensor& flat) {
  if (flat.num_elements() == store.num_owned()) return flat;
  Tensor owned = context.workspace({store.num_owned()}, flat.dtype());
  const int64_t size = size_of(flat.dtype());
  std::byte* out = owned.raw();
  for (const FlatRange& range : store.owned()) {
    std::memcpy(out, flat.raw() + range.begin * size, static_cast<size_t>(range.length() * size));
    out += range.length() * size;
  }
  return owned;
}

/// A logical tensor of which parts arrive from several ranks.
class Assembly {
 public:
  explicit Assembly(const Shape& shape)
      : shape_(shape), values_(static_cast<size_t>(num_elements(shape))), holder_(values_.size(), -1) {}

  /// Reads a part; returns what follows it.
  const double* add(const double* next, int rank) {
    Shape offset, extent;
    for (size_t dim = 0; dim < shape_.size(); ++dim) offset.push_back(static_cast<int64_t>(*next++));
    for (size_t dim = 0; dim < shape_.size(); ++dim) extent.push_back(static_cast<int64_t>(*next++));
    Shape index(shape_.size(), 0);
    for (int64_t left = num_elements(extent); left > 0; --left) {
      size_t place = 0;
      for (size_t dim = 0; dim < shape_.size(); ++dim)
        place = place * static_cast<size_t>(shape_[dim]) + static_cast<size_t>(offset[dim] + index[dim]);
      set(place, *next++, rank);
      for (size_t dim = extent.size(); dim-- > 0 && ++index[dim] == extent[dim];) index[dim] = 0;
    }
    return next;
  }

  /// "" when every element came, and the same from all who sent it.
  std::string problem() const {
    if (!problem_.empty()) return problem_;
    const auto missing = std::count(holder_.begin(), holder_.end(), -1);
    return missing == 0 ? "" : fmt::format("{} of its {} elements are on no rank", missing, holder_.size());
  }
  std::vector<double> take() { return std::move(values_); }

 private:
  void set(size_t place, double value, int rank) {
    if (holder_[place] < 0) {
      values_[place] = value;
      holder_[place] = rank;
    } else if (problem_.empty() && std::memcmp(&values_[place], &value, sizeof value) != 0) {
      problem_ = fmt::format("ranks {} and {} hold different copies: {} and {} at element {}", holder_[place],
                             rank, values_[place], value, place);
    }
  }

  Shape shape_;
  std::vector<double> values_;
  std::vector<int> holder_;
  std::string problem_;
};

}  // namespace

WholeTensors::WholeTensors(Context& context, TrainingRank& rank) : context_(context), rank_(rank) {
  for (const Parameter* parameter : rank_.model().parameters()) {
    for (const ParameterPiece& piece : parameter->pieces) {
      names_.push_back(piece.name);
      shapes_.push_back(piece.global_shape);
    }
  }
  num_trained_ = names_.size();
  for (const Buffer* buffer : rank_.model().buffers()) {
    names_.push_back(buffer->name);
    shapes_.push_back(buffer->shape);
  }
}

WholeTensors::Values WholeTensors::gradients() {
  return gather_owned(rank_.store().gradients(), "gradient");
}

WholeTensors::Values WholeTensors::weights() {
  return gather_owned(rank_.store().masters(), "master weight");
}

WholeTensors::Values WholeTensors::values() {
  Message mine;
  for (const Parameter* parameter : rank_.store().parameters()) {
    for (size_t i = 0; i < parameter->pieces.size(); ++i) {
      const ParameterPiece& piece = parameter->pieces[i];
      append(mine, piece.name, piece.offset, piece.extent, parameter->piece(parameter->value, i));
    }
  }
  for (const Buffer* buffer : rank_.store().buffers())
    append(mine, buffer->name, Shape(buffer->shape.size(), 0), buffer->shape, buffer->value);
  return gather(mine, names_.size(), "weight");
}

WholeTensors::Values WholeTensors::gather_owned(const Tensor& flat, const char* what) {
  const ParameterStore& store = rank_.store();
  const Tensor owned = pack_owned(context_, store, flat);
  Message mine;
  for (size_t p = 0; p < store.parameters().size(); ++p) {
    const std::vector<ParameterPiece>& pieces = store.parameters()[p]->pieces;
    for (size_t i = 0; i < pieces.size(); ++i)
      for (const OwnedBox& box : owned_boxes(store, owned, p, i))
        append(mine, pieces[i].name, box.offset, box.extent, box.data);
  }
  return gather(mine, num_trained_, what);
}

void WholeTensors::append(Message& message, const std::string& name, const Shape& offset, const Shape& extent,
                          const Tensor& part) const {
  const auto found = std::find(names_.begin(), names_.end(), name);
  TRIREME_ASSERT(found != names_.end(), "a stored parameter is not the model's");
  message.push_back(static_cast<double>(found - names_.begin()));
  for (const Shape* shape : {&offset, &extent})
    for (const int64_t size : *shape) message.push_back(static_cast<double>(size));
  dispatch_floating(part.dtype(), [&](auto type) {
    using T = decltype(type);
    for (int64_t row = 0; row < part.rows(); ++row)
      for (int64_t col = 0; col < part.cols(); ++col) message.push_back(as_double(part.row<T>(row)[col]));
  });
}

WholeTensors::Values WholeTensors::gather(const Message& mine, size_t count, const char* what) {
  Communicator& world = rank_.mesh().world();
  const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(double));
  const std::vector<std::string> parts = world.gather_bytes(bytes);
  if (world.rank() != 0) return {};

  std::vector<Assembly> tensors(shapes_.begin(), shapes_.begin() + static_cast<std::ptrdiff_t>(count));
  for (size_t rank = 0; rank < parts.size(); ++rank) {
    Message message(parts[rank].size() / sizeof(double));
    std::copy(parts[rank].begin(), parts[rank].end(), reinterpret_cast<char*>(message.data()));
    const double* const end = message.data() + message.size();
    for (const double* next = message.data(); next != end;) {
      const auto number = static_cast<size_t>(*next++);
      next = tensors[number].add(next, static_cast<int>(rank));
    }
  }
  Values result;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string problem = tensors[i].problem();
    if (!problem.empty()) problems_.push_back(fmt::format("{} of {}: {}", what, names_[i], problem));
    result.push_back(tensors[i].take());
  }
  return result;
}

}  // namespace trireme::verify
