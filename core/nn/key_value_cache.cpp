#include "core/nn/key_value_cache.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/ops/elementwise.h"

namespace trireme {

KeyValueCache::Entry& KeyValueCache::append(Context& context, int64_t layer, const Tensor& keys,
                                            const Tensor& values) {
  const int64_t length = keys.rows() / num_samples_;
  if (length * num_samples_ != keys.rows() || length_ + length > capacity_)
    throw ShapeError(fmt::format("key-value cache: {} rows for {} samples do not fit behind {} of {} tokens",
                                 keys.rows(), num_samples_, length_, capacity_));
  Entry& entry = entries_[static_cast<size_t>(layer)];
  if (!entry.keys.defined()) {
    entry.keys = context.activation({num_samples_ * capacity_, keys.cols()}, keys.dtype());
    entry.values = context.activation({num_samples_ * capacity_, values.cols()}, values.dtype());
  }
  for (int64_t sample = 0; sample < num_samples_; ++sample) {
    Tensor new_keys = entry.keys.slice(0, sample * capacity_ + length_, length);
    Tensor new_values = entry.values.slice(0, sample * capacity_ + length_, length);
    ops::cast(context, keys.slice(0, sample * length, length), new_keys);
    ops::cast(context, values.slice(0, sample * length, length), new_values);
  }
  return entry;
}

}  // namespace trireme
