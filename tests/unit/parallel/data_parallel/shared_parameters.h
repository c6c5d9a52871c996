#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/nn/parameters.h"
#include "core/optim/parameter_store.h"
#include "parallel/data_parallel/gradient_buckets.h"
#include "parallel/mesh/mesh.h"

namespace trireme::testing {

/// The parameters of one rank of a model that is split in every way a placement can say, without the model:
///   first stage   plain (alone), wte (vocabulary uneven over tensor ranks; tied to the last stage)
///   every stage   norm (partial over tensor), qkv (query split, key and value heads in pairs of copies),
///                 bias (equal on tensor ranks), out (input features split)
///   last stage    wte, in another place of the forward order
///   both ends     `shared` (partial over tensor ranks and stages)
class SharedParameters {
 public:
  /// Collective: makes the group of the two ends.
  explicit SharedParameters(Mesh& mesh) : mesh_(mesh) {
    if (const int num_stages = mesh.shape().size(Axis::kPipeline); num_stages > 1)
      ends_ = {0, num_stages - 1};
    if (!ends_.empty()) mesh.make_stage_groups({ends_});
    const std::string stage = "h." + std::to_string(mesh.coordinate(Axis::kPipeline));
    const int num_tensor = mesh.shape().size(Axis::kTensor), tensor = mesh.coordinate(Axis::kTensor);
    const bool first = mesh.coordinate(Axis::kPipeline) == 0;
    const bool last = mesh.coordinate(Axis::kPipeline) == mesh.shape().size(Axis::kPipeline) - 1;
    if (first) {
      add("plain", {{"plain", {6, 5}, {0, 0}, {6, 5}, 0, on_tensor(Placement::Kind::kReplicatedEqual)}});
      add_tied(num_tensor, tensor);
    }
    add(stage + ".norm",
        {{stage + ".norm", {9}, {0}, {9}, 0, on_tensor(Placement::Kind::kReplicatedPartial)}});
    const int64_t heads = num_tensor / 2;  // of keys and values, three rows each
    std::vector<ParameterPiece> qkv = {{stage + ".query",
                                        {4 * num_tensor, 256},
                                        {4 * tensor, 0},
                                        {4, 256},
                                        0,
                                        on_tensor(Placement::Kind::kSplit)}};
    for (const char* name : {".key", ".value"})
      qkv.push_back({stage + name,
                     {3 * heads, 256},
                     {3 * (tensor / 2), 0},
                     {3, 256},
                     qkv.back().storage_row + qkv.back().extent[0],
                     on_tensor(Placement::Kind::kSplit, 0, 2)});
    add(stage + ".qkv", qkv);
    add(stage + ".bias", {{stage + ".bias", {5}, {0}, {5}, 0, on_tensor(Placement::Kind::kReplicatedEqual)}});
    add(stage + ".out", {{stage + ".out",
                          {7, 3 * num_tensor},
                          {0, 3 * tensor},
                          {7, 3},
                          0,
                          on_tensor(Placement::Kind::kSplit, 1)}});
    auto everywhere = on_tensor(Placement::Kind::kReplicatedPartial);
    everywhere[static_cast<AxisId>(Axis::kPipeline)] = {.kind = Placement::Kind::kReplicatedPartial,
                                                        .holders = ends_};
    if (first || last) add("shared", {{"shared", {4}, {0}, {4}, 0, everywhere}});
    if (last && !first) add_tied(num_tensor, tensor);
  }

  std::vector<Parameter*> forward_order() const {
    std::vector<Parameter*> pointers;
    for (const auto& parameter : parameters_) pointers.push_back(parameter.get());
    return pointers;
  }

 private:
  static std::map<AxisId, Placement> on_tensor(Placement::Kind kind, int dim = 0, int copies = 1) {
    return {{static_cast<AxisId>(Axis::kTensor), {kind, dim, copies}}};
  }

  void add_tied(int num_tensor, int tensor) {
    constexpr int64_t kVocabulary = 21;
    const int64_t begin = kVocabulary * tensor / num_tensor, end = kVocabulary * (tensor + 1) / num_tensor;
    auto placement = on_tensor(Placement::Kind::kSplit);
    placement[static_cast<AxisId>(Axis::kPipeline)] = {.kind = Placement::Kind::kReplicatedPartial,
                                                       .holders = ends_};
    add("wte", {{"wte", {kVocabulary, 6}, {begin, 0}, {end - begin, 6}, 0, placement}});
  }

  void add(const std::string& name, std::vector<ParameterPiece> pieces) {
    auto parameter = std::make_unique<Parameter>();
    parameter->name = name;
    parameter->shape = pieces[0].extent;
    parameter->shape[0] = pieces.back().storage_row + pieces.back().extent[0];
    parameter->pieces = std::move(pieces);
    parameter->init = nn::normal(1.0);
    parameter->weight_decay = parameter->shape.size() > 1;
    parameters_.push_back(std::move(parameter));
  }

  const Mesh& mesh_;
  std::vector<int> ends_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
};

}  // namespace trireme::testing
