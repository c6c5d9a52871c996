#pragma once

#include "core/autograd/parameter.h"

namespace trireme::nn {

/// A parameter that is one logical tensor, whole on this rank.
inline Parameter whole_parameter(const std::string& name, const Shape& shape, InitRule init,
                                 bool weight_decay) {
  Parameter parameter;
  parameter.name = name;
  parameter.shape = shape;
  parameter.pieces = {{name, shape, Shape(shape.size(), 0), shape, 0}};
  parameter.init = init;
  parameter.weight_decay = weight_decay;
  return parameter;
}

/// Logical tensors one after another along dimension 0, each whole on this rank. `piece_shapes` differ in
/// dimension 0 only.
inline Parameter packed_parameter(const std::string& name,
                                  const std::vector<std::pair<std::string, Shape>>& piece_shapes,
                                  InitRule init, bool weight_decay) {
  Parameter parameter;
  parameter.name = name;
  parameter.shape = piece_shapes[0].second;
  parameter.shape[0] = 0;
  for (const auto& [piece_name, shape] : piece_shapes) {
    parameter.pieces.push_back({piece_name, shape, Shape(shape.size(), 0), shape, parameter.shape[0]});
    parameter.shape[0] += shape[0];
  }
  parameter.init = init;
  parameter.weight_decay = weight_decay;
  return parameter;
}

inline InitRule zeros() {
  return {InitRule::Kind::kZeros};
}
inline InitRule ones() {
  return {InitRule::Kind::kOnes};
}
inline InitRule frequencies() {
  return {InitRule::Kind::kFrequencies};
}
inline InitRule normal(double std) {
  return {InitRule::Kind::kNormal, std};
}
inline InitRule truncated_normal(double std) {
  return {InitRule::Kind::kTruncatedNormal, std};
}
inline InitRule xavier_uniform(double gain = 1.0) {
  return {InitRule::Kind::kXavierUniform, gain};
}

}  // namespace trireme::nn
