#include "parallel/checkpoint/logical_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace trireme::checkpoint {
namespace {

using Json = nlohmann::json;

/// [[role, name, dtype, shape, group, [[offset, extent], ...]], ...]; neighbouring boxes of a tensor share
/// it.
std::string pack(const std::vector<TensorBox>& held) {
  Json list = Json::array();
  const LogicalTensor* previous = nullptr;
  for (const TensorBox& box : held) {
    if (previous == nullptr || *previous != box)
      list.push_back(
          {box.role, box.name, name_of(box.dtype), box.global_shape, box.parameter_group, Json::array()});
    list.back()[5].push_back({box.box.offset, box.box.extent});
    previous = &box;
  }
  return list.dump();
}

std::vector<TensorBox> unpack(const std::string& packed) {
  std::vector<TensorBox> held;
  for (const Json& tensor : Json::parse(packed)) {
    const LogicalTensor logical{tensor[0].get<std::string>(), tensor[1].get<std::string>(),
                                dtype_from_name(tensor[2].get<std::string>()), tensor[3].get<Shape>(),
                                tensor[4].get<std::string>()};
    for (const Json& box : tensor[5]) held.push_back({logical, {box[0].get<Shape>(), box[1].get<Shape>()}});
  }
  return held;
}

std::string describe(const LogicalTensor& tensor) {
  return fmt::format("{} {} {}", name_of(tensor.dtype), trireme::to_string(tensor.global_shape),
                     tensor.parameter_group);
}

}  // namespace

std::vector<std::vector<TensorBox>> gather_boxes(Communicator& world, const std::vector<TensorBox>& held) {
  std::vector<std::vector<TensorBox>> by_rank;
  for (const std::string& packed : world.gather_bytes(pack(held))) by_rank.push_back(unpack(packed));
  return by_rank;
}

std::vector<LogicalTensor> logical_tensors(const std::vector<std::vector<TensorBox>>& held_by_rank,
                                           const std::vector<std::string>& names) {
  std::map<std::pair<Role, std::string>, std::pair<LogicalTensor, size_t>> found;  // with the first rank
  for (size_t rank = 0; rank < held_by_rank.size(); ++rank)
    for (const LogicalTensor& tensor : held_by_rank[rank]) {
      const auto& [known, first] = found.try_emplace({tensor.role, tensor.name}, tensor, rank).first->second;
      if (known != tensor)
        throw CommError(
            fmt::format("{} {} is {} on rank {} and {} on rank {}: their models differ; start all ranks with "
                        "the same configuration and the same build",
                        tensor.role, tensor.name, describe(known), first, describe(tensor), rank),
            ExitCode::kRanksDisagree);
    }
  std::map<std::string, size_t> place;
  for (const std::string& name : names) place.try_emplace(name, place.size());
  std::vector<LogicalTensor> tensors;
  for (const auto& [key, tensor] : found) tensors.push_back(tensor.first);
  const auto order = [&](const LogicalTensor& tensor) {
    const auto known = place.find(tensor.name);
    return std::tuple(tensor.role != "model", tensor.role != "master", tensor.role,
                      known == place.end() ? place.size() : known->second, tensor.name);
  };
  std::sort(tensors.begin(), tensors.end(),
            [&](const LogicalTensor& a, const LogicalTensor& b) { return order(a) < order(b); });
  return tensors;
}

}  // namespace trireme::checkpoint
