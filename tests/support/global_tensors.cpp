#include "tests/support/global_tensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "core/ops/elementwise.h"
#include "core/optim/owned_boxes.h"

namespace trireme::testing {
namespace {

template <class T>
double as_double(T value) {
  if constexpr (std::is_same_v<T, double>) {
    return value;
  } else {
    return static_cast<double>(static_cast<float>(value));
  }
}

/// Boxes on their way between ranks: number of the tensor, offset, extent and values, one after another.
using Message = std::vector<double>;

template <class Visit>
void for_each_index(const Shape& extent, Visit&& visit) {
  Shape index(extent.size(), 0);
  for (int64_t left = num_elements(extent); left > 0; --left) {
    visit(index);
    for (size_t dim = extent.size(); dim-- > 0 && ++index[dim] == extent[dim];) index[dim] = 0;
  }
}

void append(Message& message, size_t tensor, const OwnedBox& box) {
  message.push_back(static_cast<double>(tensor));
  for (const Shape& shape : {box.offset, box.extent})
    for (const int64_t size : shape) message.push_back(static_cast<double>(size));
  dispatch_floating(box.data.dtype(), [&](auto type) {
    using T = decltype(type);
    for (int64_t row = 0; row < box.data.rows(); ++row) {
      const T* values = box.data.row<T>(row);
      for (int64_t col = 0; col < box.data.cols(); ++col) message.push_back(as_double(values[col]));
    }
  });
}

struct Whole {
  explicit Whole(const Shape& shape)
      : values(static_cast<size_t>(num_elements(shape))), known(values.size(), 0) {}
  std::vector<double> values;
  std::vector<char> known;
  bool differs = false;
};

}  // namespace

GlobalTensors::GlobalTensors(Context& context, Communicator& world, TrainingRank& rank)
    : context_(context), world_(world), rank_(rank) {
  for (const Parameter* parameter : rank_.model().parameters()) {
    for (const ParameterPiece& piece : parameter->pieces) {
      names_.push_back(piece.name);
      shapes_.push_back(piece.global_shape);
    }
  }
}

std::vector<std::vector<double>> GlobalTensors::gradients() {
  return gather(owned_part(rank_.store().gradients()));
}

std::vector<std::vector<double>> GlobalTensors::weights() {
  const ParameterStore& store = rank_.store();
  return gather(store.has_masters() ? store.masters() : owned_part(store.values()));
}

Tensor GlobalTensors::owned_part(const Tensor& flat) {
  const ParameterStore& store = rank_.store();
  Tensor owned = context_.workspace({store.num_owned()}, flat.dtype());
  int64_t done = 0;
  for (const FlatRange& range : store.owned()) {
    const int64_t length = range.end - range.begin;
    Tensor part = owned.slice(0, done, length);
    ops::cast(context_, flat.slice(0, range.begin, length), part);
    done += length;
  }
  return owned;
}

std::vector<std::vector<double>> GlobalTensors::gather(const Tensor& owned_flat) {
  const ParameterStore& store = rank_.store();
  Message mine;
  for (size_t p = 0; p < store.parameters().size(); ++p) {
    const auto& pieces = store.parameters()[p]->pieces;
    for (size_t i = 0; i < pieces.size(); ++i) {
      const auto tensor =
          static_cast<size_t>(std::find(names_.begin(), names_.end(), pieces[i].name) - names_.begin());
      for (const OwnedBox& box : owned_boxes(store, owned_flat, p, i)) append(mine, tensor, box);
    }
  }
  std::vector<Whole> wholes;
  for (const Shape& shape : shapes_) wholes.emplace_back(shape);
  const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(double));
  for (const std::string& received : world_.gather_bytes(bytes)) {
    Message message(received.size() / sizeof(double));
    std::memcpy(message.data(), received.data(), received.size());
    const double* next = message.data();
    while (next != message.data() + message.size()) {
      const auto tensor = static_cast<size_t>(*next++);
      const Shape& shape = shapes_[tensor];
      Shape offset, extent;
      for (size_t dim = 0; dim < shape.size(); ++dim) offset.push_back(static_cast<int64_t>(*next++));
      for (size_t dim = 0; dim < shape.size(); ++dim) extent.push_back(static_cast<int64_t>(*next++));
      for_each_index(extent, [&](const Shape& index) {
        size_t place = 0;
        for (size_t dim = 0; dim < shape.size(); ++dim)
          place = place * static_cast<size_t>(shape[dim]) + static_cast<size_t>(offset[dim] + index[dim]);
        double& value = wholes[tensor].values[place];
        const double given = *next++;
        wholes[tensor].differs |=
            wholes[tensor].known[place] && std::memcmp(&value, &given, sizeof given) != 0;
        value = given;
        wholes[tensor].known[place] = 1;
      });
    }
  }
  std::vector<std::vector<double>> result;
  for (size_t i = 0; i < wholes.size(); ++i) {
    if (wholes[i].differs) ADD_FAILURE() << names_[i] << " is not the same on all ranks that hold it";
    if (std::count(wholes[i].known.begin(), wholes[i].known.end(), 0) > 0)
      ADD_FAILURE() << "no rank holds all of " << names_[i];
    result.push_back(std::move(wholes[i].values));
  }
  return result;
}

}  // namespace trireme::testing
